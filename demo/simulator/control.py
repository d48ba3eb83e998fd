"""Controls the simulated org: injects faults, changes settings, and reports what happened.

Tests use this object; the control API exposes it over HTTP.
"""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from demo.simulator import token_endpoint
from demo.simulator.app_integrations import AppIntegrations
from demo.simulator.config import Client
from demo.simulator.custom_servers import CustomServer
from demo.simulator.event_log import Event
from demo.simulator.faults import Fault, FaultKind, Instead, fault_kind
from demo.simulator.grants import Replay, SignIn
from demo.simulator.listener import Listener
from demo.simulator.management_state import ManagementState
from demo.simulator.org import Org
from demo.simulator.people import Person
from demo.simulator.policy_fields import CLIENT_FIELDS, ORG_FIELDS, POLICY_FIELDS, client_value, validate_policy
from demo.simulator.security_events import SecurityEvents
from demo.simulator.sign_out_orders import SignOutOrders


class UnknownSetting(ValueError):
    """Unknown name or value of a setting, a fault or a user."""


class Control:
    def __init__(self, org: Org, listener: Listener, security_events: SecurityEvents) -> None:
        self._org = org
        self._listener = listener
        self._down_until: float | None = None
        self._down_how: str | None = None
        self._outage: list[Fault] = []
        self._timer: asyncio.Task[None] | None = None
        self._held: list[asyncio.Event] = []
        self.orders = SignOutOrders(org)
        self.security_events = security_events

    # --- observations ---

    @property
    def violations(self) -> list[Event]:
        return self._org.events.violations

    @property
    def reuse_alarms(self) -> int:
        return len(self._org.families.alarms)

    @property
    def token_requests(self) -> int:
        return self._org.token_requests.total()

    @property
    def refresh_requests(self) -> int:
        return self.requests_of("refresh_token")

    def requests_of(self, grant: str) -> int:
        """Token requests with this grant_type, answered or not."""
        return self._org.token_requests[grant]

    def events(self, after: int = 0) -> list[Event]:
        return self._org.events.after(after)

    def state(self) -> dict[str, Any]:
        org, policy = self._org, self._org.families.policy
        rotation = dataclasses.asdict(policy) | {"behaviour": policy.replay.value}
        return {
            "up": self._down_until is None,
            "down_until": self._down_until,
            "down_how": self._down_how,
            "now": org.now(),
            "rotation": rotation,
            "access_token_lifetime": policy.access_token_lifetime,
            "token_requests": self.token_requests,
            "refresh_requests": self.refresh_requests,
            "token_requests_by_grant": dict(org.token_requests),
            "reuse_alarms": self.reuse_alarms,
            "expect_late": org.expect_late,
            "violations": [event.as_json() for event in self.violations],
            "faults": [fault.as_json() for fault in org.faults.pending(org.now())],
            "keys": [key.kid for key in org.keys.published()],
            "signing_key": org.keys.current.kid,
            "families": [dataclasses.asdict(family) for family in org.families.families()],
            "bff_log": org.config.bff_log,
            "people": [self._person_view(person) for person in org.people.values()],
        }

    def _person_view(self, person: Person) -> dict[str, Any]:
        return {
            "sub": person.sub,
            "login": person.login,
            "name": person.name,
            "assigned": not self._org.families.is_unassigned(person.sub),
        }

    # --- faults ---

    def fault(
        self,
        kind: str | FaultKind,
        *,
        times: int | None = None,
        seconds: float | None = None,
        endpoint: str = "token",
        grant: str | None = None,
        **options: Any,
    ) -> Fault:
        """Queues a fault for `times` requests or for `seconds`; for one request by default.

        `options` are those of `Fault`: where, delay, release, held, status, retry_after, reset_in, set. Raises
        UnknownSetting.
        """
        if times is None and seconds is None:
            times = 1
        until = None if seconds is None else self._org.now() + seconds
        try:
            if options.get("held"):
                options["release"] = asyncio.Event()
                self._held.append(options["release"])
            fault = Fault(fault_kind(kind), endpoint, grant, times=times, until=until, **options)
        except (ValueError, TypeError) as wrong:
            raise UnknownSetting(str(wrong)) from None
        self._org.faults.add(fault)
        return fault

    def release(self, after: float = 0.0) -> None:
        """Lets every `held` request go on after that many seconds."""
        held, self._held = self._held, []
        for release in held:
            asyncio.get_running_loop().call_later(after, release.set)

    def clear_faults(self) -> None:
        self._org.faults.clear()

    async def down(self, seconds: float | None = None, how: Literal["refuse", "stall", "error"] = "refuse") -> None:
        """Takes the provider down, for `seconds` or until `up`. Raises UnknownSetting."""
        if how not in ("refuse", "stall", "error"):
            raise UnknownSetting(f"how: {how}")
        await self.up()
        self._down_until = self._org.now() + seconds if seconds is not None else float("inf")
        self._down_how = how
        self._org.record("down", f"the provider is away ({how})", seconds=seconds)
        if how == "refuse":
            await self._listener.refuse()
        else:
            kind = Instead.STALL if how == "stall" else Instead.SERVER_ERROR
            outage = Fault(kind, endpoint="any", times=None, status=503)
            self._outage = [outage]
            self._org.faults.add_first(outage)
        if seconds is not None:
            self._timer = asyncio.create_task(self._return_after(seconds))

    async def _return_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._timer = None
        await self.up()

    async def up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._down_until is None:
            return
        how, self._down_until, self._down_how = self._down_how, None, None
        self._org.faults.remove(self._outage)
        self._outage = []
        if how == "refuse":
            await self._listener.accept()
        elif how == "stall":
            self._listener.drop_connections()
        self._org.record("up", "the provider is back")

    async def close(self) -> None:
        await self.security_events.close()
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)

    # --- settings ---

    def settings(self, **changes: Any) -> None:
        """Changes settings of the running provider, atomically.

        Raises UnknownSetting. Names are the fields of RotationPolicy (`behaviour` means `replay`), those of Client
        (`secrets`, ...), and `policy_exists`, `expect_late`, `id_token_claims`, `dpop_nonce`, `keys_max_age`.
        """
        if "behaviour" in changes:
            changes["replay"] = changes.pop("behaviour")
        unknown = changes.keys() - POLICY_FIELDS - ORG_FIELDS - CLIENT_FIELDS - {"keys_max_age"}
        if unknown:
            raise UnknownSetting(", ".join(sorted(unknown)))
        policy = {name: value for name, value in changes.items() if name in POLICY_FIELDS}
        try:
            if "replay" in policy:
                policy["replay"] = Replay(policy["replay"])
            validate_policy(policy)
        except (TypeError, ValueError) as wrong:
            raise UnknownSetting(str(wrong)) from None
        org = self._org
        org.families.policy = dataclasses.replace(org.families.policy, **policy)
        for name, value in changes.items():
            if name in ORG_FIELDS:
                setattr(org, name, value)
            elif name in CLIENT_FIELDS:
                setattr(self.client, name, client_value(name, value))
            elif name == "keys_max_age":
                org.keys.max_age = value
        org.record("settings", f"changed: {', '.join(sorted(changes))}")

    @property
    def client(self) -> Client:
        return self._org.clients[self._org.config.client_id]

    @property
    def management(self) -> ManagementState:
        """The Management API's state: token, licence, maintenance mode, rate limit, and received requests."""
        return self._org.management

    def server(self, server_id: str = "default") -> CustomServer:
        """A custom authorization server: its scopes, trusted servers, resources and policies. Raises KeyError."""
        return self._org.management.servers[server_id]

    @property
    def apps(self) -> AppIntegrations:
        return self._org.apps

    def register(self, *, redirect_uri: str | None = None, post_logout_redirect_uri: str | None = None) -> None:
        """Adds a redirect URI to the client, for servers whose port is known only after the start."""
        self.client.redirect_uris += (redirect_uri,) if redirect_uri is not None else ()
        self.client.post_logout_redirect_uris += (post_logout_redirect_uri,) if post_logout_redirect_uri else ()

    def rotate_keys(self, *, emergency: bool = False, forget_previous: bool = False) -> str:
        kid = self._org.keys.rotate(emergency=emergency, forget_previous=forget_previous)
        self._org.record("keys_rotated", f"the signing key is now {kid[:8]}", emergency=emergency)
        return kid

    def advance(self, seconds: float) -> None:
        """Advances the provider's clock, for tokens issued afterwards."""
        self._org.clock_offset += seconds

    # --- users ---

    def person(self, login_or_sub: str) -> Person:
        """Raises UnknownSetting."""
        person = self._org.find_person(login_or_sub)
        if person is None:
            raise UnknownSetting("no such person")
        return person

    def unassign(self, login_or_sub: str) -> None:
        person = self.person(login_or_sub)
        self._org.families.unassign(person.sub)
        self._org.record("unassigned", f"{person.login} is no longer assigned to the application", sub=person.sub)

    def assign(self, login_or_sub: str) -> None:
        person = self.person(login_or_sub)
        self._org.families.assign(person.sub)
        self._org.record("assigned", f"{person.login} is assigned to the application", sub=person.sub)

    def revoke_user(self, login_or_sub: str) -> int:
        """Clears the user's sessions and tokens, as an administrator does. Returns how many sign-ins ended."""
        person = self.person(login_or_sub)
        ended = self._org.families.revoke_user(person.sub)
        self._org.sessions.end_all_of(person.sub)
        self._org.record("revoked", f"an administrator revoked {person.login}", sub=person.sub)
        return ended

    def sign_in(
        self, login_or_sub: str, *, scope: str = "openid profile email offline_access", nonce: str | None = None
    ) -> dict[str, Any]:
        """A token response without a browser and without a code, from the custom server. For tests only."""
        person, org = self.person(login_or_sub), self._org
        grant = SignIn(
            sub=person.sub,
            client_id=org.config.client_id,
            issuer=f"{org.base_url}/oauth2/default",
            scope=frozenset(scope.split()),
            sid=org.sessions.begin(person.sub, 1, org.now()).sid,
            auth_time=int(org.now()),
        )
        return token_endpoint.token_answer(org, org.families.sign_in(grant, org.now()), nonce)

    def sign(self, claims: Mapping[str, Any], **header: Any) -> str:
        """Signs any JWT with the current key: logout tokens, revocation tokens. `kid=None` omits the kid."""
        return self._org.keys.current.sign(claims, header)
