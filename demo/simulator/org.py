"""The org: state shared by the endpoints. Its clock is the host's, plus an offset set by tests."""

import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from demo.simulator.app_integrations import AppIntegrations
from demo.simulator.authorization_codes import AuthorizationCodes
from demo.simulator.browser_sessions import BrowserSessions
from demo.simulator.config import Client, SimulatorConfig
from demo.simulator.custom_servers import CustomServer, CustomServers
from demo.simulator.dpop import Proofs
from demo.simulator.event_log import EventLog
from demo.simulator.faults import Faults
from demo.simulator.grants import fingerprint
from demo.simulator.management_state import ManagementState
from demo.simulator.people import Person
from demo.simulator.pushed_requests import PushedRequests
from demo.simulator.signing_keys import SigningKeys
from demo.simulator.token_families import TokenFamilies

# Parameters that must never be in a URL. `id_token_hint` and `code` are allowed by the specifications.
SECRET_PARAMETERS = (
    *("client_secret", "client_assertion", "refresh_token", "access_token", "code_verifier", "password"),
    *("subject_token", "actor_token"),
)


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """The org server's issuer is the base URL, a custom one's is base/oauth2/{id}."""

    issuer: str
    endpoints: str  # path under which authorize, token, keys and the others live
    custom: CustomServer | None = None  # None: the org server

    @property
    def is_org(self) -> bool:
        return self.custom is None

    @property
    def issuer_path(self) -> str:
        return "" if self.is_org else self.endpoints.removesuffix("/v1")

    @property
    def audience(self) -> str:
        return self.issuer if self.custom is None else self.custom.audience


class Org:
    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.base_url = ""
        self.clients: dict[str, Client] = {client.client_id: client for client in config.service_apps}
        self.apps = AppIntegrations(self.clients)
        self.management = ManagementState(config.api_token, config.people, CustomServers(config.servers), time.time())
        self.people: dict[str, Person] = {person.sub: person for person in config.people}
        self.families = TokenFamilies(config.rotation)
        self.keys = SigningKeys()
        self.codes = AuthorizationCodes()
        self.pushed = PushedRequests()
        self.proofs = Proofs()
        self.dpop_nonce = secrets.token_urlsafe(12)  # Okta renews it daily and takes older ones for three days
        self.sessions = BrowserSessions()
        self.events = EventLog()
        self.faults = Faults()
        self.used_assertions: set[str] = set()
        self.token_requests: Counter[str] = Counter()  # by grant type
        # whether the client is known to resend after the grace period; alarms are then marked as expected
        self.expect_late = False
        self.id_token_claims: dict[str, Any] = {}  # overrides; None leaves a claim out
        self.clock_offset = 0.0
        if not config.empty_org:
            self.clients[config.client_id] = client = config.client()
            policy = config.rotation
            self.apps.adopt(client, self.now(), rotates=policy.mode == "rotate", leeway=int(policy.grace))
        for person in config.people:
            if not person.assigned:
                self.families.unassign(person.sub)

    def now(self) -> float:
        return time.time() + self.clock_offset

    def server(self, endpoints: str) -> AuthorizationServer:
        """Raises KeyError if the org has no such server."""
        if endpoints == "/oauth2/v1":
            return AuthorizationServer(self.base_url, endpoints)
        custom = self.management.servers[endpoints.removeprefix("/oauth2/").removesuffix("/v1")]
        # An administrator may set the server's issuer to a custom domain: metadata and tokens use it from then on.
        custom_issuer = custom.body.get("issuer") if custom.body["issuerMode"] == "CUSTOM_URL" else None
        issuer = custom_issuer or f"{self.base_url}{endpoints.removesuffix('/v1')}"
        return AuthorizationServer(issuer, endpoints, custom)

    def server_of(self, issuer: str) -> AuthorizationServer | None:
        """The server with that issuer."""
        every = ("/oauth2/v1", *(f"/oauth2/{custom.id}/v1" for custom in self.management.servers))
        return next((server for server in map(self.server, every) if server.issuer == issuer), None)

    @property
    def policy_exists(self) -> bool:
        """False: a new org, whose server `default` has no access policy yet."""
        return self.management.servers["default"].policy_exists

    @policy_exists.setter
    def policy_exists(self, exists: bool) -> None:
        self.management.servers["default"].policy_exists = exists

    def may_use(self, client_id: str, sub: str) -> bool:
        """Whether a person is assigned to an app, in person or by a group."""
        if self.families.is_unassigned(sub):
            return False
        app = self.apps.of_client(client_id)
        return app is None or app.everybody or bool(self.management.groups_of(self.people[sub]) & set(app.groups))

    def find_person(self, login_or_sub: str) -> Person | None:
        wanted = login_or_sub.strip().casefold()
        return next((p for p in self.people.values() if wanted in (p.login.casefold(), p.sub.casefold())), None)

    def record(self, kind: str, text: str, **facts: Any) -> None:
        self.events.record(self.now(), kind, text, **facts)

    def violation(self, rule: str, text: str, **facts: Any) -> None:
        self.events.violation(self.now(), rule, text, **facts)

    def watch_url(self, request: Request) -> None:
        """Records secrets in the query, which end up in logs, histories and Referer headers."""
        for name in SECRET_PARAMETERS:
            if name in request.query_params:
                self.violation("secret_in_url", f"{name} in the query of {request.url.path}")

    def name_of(self, sub: str) -> str:
        person = self.people.get(sub)
        return person.login if person else f"an unknown user ({fingerprint(sub)})"
