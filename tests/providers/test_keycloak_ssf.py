"""Keycloak as the transmitter of security events: what happens to a user or a session there happens here, by poll and,
over TLS, by push."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from bff.session.session import Session
from bff.telemetry import metrics
from tests.harness.certificates import Authority
from tests.harness.nginx import CONFIG, running_nginx
from tests.harness.plain_http import plain_http
from tests.harness.ports import free_port
from tests.harness.streams import Page
from tests.harness.waiting import until
from tests.providers.deployment import Deployment, deployed
from tests.providers.keycloak.provider import ROTATING, Keycloak
from tests.providers.keycloak.server import KeycloakServer
from tests.providers.person import PASSWORD, Person
from tests.providers.provider import Wish

pytestmark = [pytest.mark.providers, pytest.mark.asyncio(loop_scope="session")]

REALM: Final = str(ROTATING["realm"])
DELIVERY: Final = "Bearer canary-delivery-0123456789"
SESSION_REVOKED: Final = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"


class Transmitter(Keycloak):
    """Clients are receivers of security events, and get no logout tokens."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.authority, self.front = Authority(directory, "authority"), free_port()
        options = (
            "--spi-ssf-transmitter--default--allow-insecure-push-targets=true",  # our receiver is on loopback
            f"--truststore-paths={self.authority.file}",
        )
        self.server = KeycloakServer(
            directory, port=self.port, public_url=self.proxy.origin, features=("ssf",), options=options
        )

    @property
    def push_url(self) -> str:
        return f"https://localhost:{self.front}/auth/security-events"

    async def start(self) -> None:
        await super().start()
        realm = await self.server.admin("GET", f"/{REALM}")
        realm["attributes"]["ssf.transmitterEnabled"] = "true"
        await self.server.admin("PUT", f"/{REALM}", realm)

    async def add_client(self, client_id: str, secret: str, public_url: str, wish: Wish) -> None:
        await super().add_client(client_id, secret, public_url, wish)
        (client,) = await self.server.admin("GET", f"/{REALM}/clients?clientId={client_id}")
        client["attributes"] |= {
            "backchannel.logout.url": "",
            "ssf.enabled": "true",
            "ssf.defaultSubjects": "ALL",
            "ssf.validPushUrls": self.push_url,
            "ssf.streamAudience": f"{public_url}/auth/security-events",
        }
        path = f"/{REALM}/clients/{client['id']}"
        await self.server.admin("PUT", path, {**client, "serviceAccountsEnabled": True})
        for scope in await self.server.admin("GET", f"/{REALM}/client-scopes"):
            if scope["name"] in ("ssf.read", "ssf.manage"):
                await self.server.admin("PUT", f"{path}/optional-client-scopes/{scope['id']}")

    async def emit(self, bff: Deployment, event_type: str, subject: dict[str, Any], event: dict[str, Any]) -> None:
        """As another system that Keycloak trusts reports an event."""
        body = {"eventType": event_type, "sub_id": subject, "event": event}
        await self.server.admin("POST", f"/{REALM}/ssf/clients/{bff.client.client_id}/events/emit", body)

    async def change_password(self, login: str) -> None:
        user = await self.server.user_id(REALM, login)
        password = {"type": "password", "value": PASSWORD, "temporary": False}
        await self.server.admin("PUT", f"/{REALM}/users/{user}/reset-password", password)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def transmitter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Transmitter]:
    running = Transmitter(tmp_path_factory.mktemp("keycloak-ssf"))
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


async def ended(bff: Deployment, person: Person) -> str | None:
    """The reason, once both replicas refuse this person."""

    async def is_refused() -> bool:
        return [(await bff.call(person, replica)).status_code for replica in (0, 1)] == [401, 401]

    await until(is_refused)
    reason: str | None = (await person.session())["reason"]
    return reason


async def newest_of(bff: Deployment, person: Person) -> Session:
    sessions = await bff.applications[0].stores.sessions.find("email", person.login)
    return max(sessions, key=lambda session: session.signed_in_at)


async def sign_out_at_keycloak(bff: Deployment, person: Person) -> None:
    """The newest session of the person ends at Keycloak, as if another application of it had signed out."""
    form = {"refresh_token": (await newest_of(bff, person)).tokens.refresh_token or ""}
    async with plain_http() as http:
        url = f"{bff.client.settings['issuer']}/protocol/openid-connect/logout"
        answer = await http.post(url, data=form, auth=(bff.client.client_id, bff.client.secret))
    assert answer.status_code == 204, answer.text


async def test_a_session_that_ends_at_keycloak_ends_here_by_poll(tmp_path: Path, transmitter: Transmitter) -> None:
    async with deployed(tmp_path, transmitter, security_events="poll") as bff:
        bob, other, alice = await bff.signed_in("bob@example.com"), await bff.signed_in(), await bff.signed_in()
        async with Page(bff.replicas[1], alice).reading("/api/events") as reading:
            await reading.next()
            assert [(await bff.call(person)).status_code for person in (alice, other, bob)] == [200, 200, 200]
            await sign_out_at_keycloak(bff, alice)
            assert await ended(bff, alice) == "security_event"
            assert await reading.end() == "broken"
        assert [(await bff.call(person)).status_code for person in (other, bob)] == [200, 200]
        again = await bff.signed_in()
        assert (await bff.call(again)).status_code == 200


async def test_every_session_of_a_user_ends_when_an_administrator_says_so(
    tmp_path: Path, transmitter: Transmitter
) -> None:
    async with deployed(tmp_path, transmitter, security_events="poll") as bff:
        first, second, bob = await bff.signed_in(), await bff.signed_in(), await bff.signed_in("bob@example.com")
        await transmitter.sign_out_at_provider(bff.client, first.login, first)
        assert [await ended(bff, person) for person in (first, second)] == ["security_event"] * 2
        assert (await bff.call(bob)).status_code == 200


async def test_a_changed_password_ends_all_sessions_and_a_new_factor_none(
    tmp_path: Path, transmitter: Transmitter
) -> None:
    async with deployed(tmp_path, transmitter, security_events="poll") as bff:
        alice, bob = await bff.signed_in(), await bff.signed_in("bob@example.com")
        issuer, session = bff.client.settings["issuer"], await newest_of(bff, alice)
        subject = {"format": "iss_sub", "iss": issuer, "sub": session.user.sub}
        before = recorded()
        factor = {"credential_type": "fido2-roaming", "change_type": "create"}
        await transmitter.emit(bff, "CaepCredentialChange", subject, factor)
        await until(lambda: recorded() > before)
        assert (await bff.call(alice)).status_code == 200
        await transmitter.change_password(alice.login)
        assert await ended(bff, alice) == "security_event"
        assert (await bff.call(bob)).status_code == 200


def recorded() -> float:
    """How many credential changes had no other effect, in this process."""
    count = metrics.SECURITY_EVENTS.labels(event="credential-change", outcome="recorded")
    return float(count._value.get())


@asynccontextmanager
async def tls_front(folder: Path, authority: Authority, port: int, replica: str) -> AsyncIterator[None]:
    """An nginx that ends TLS in front of a replica. Its connections end with it, and none is left in our event loop."""
    issued = authority.issue("receiver", host="localhost")
    plain = CONFIG.format(folder=folder, port=port, behind=replica.rpartition(":")[2])
    tls = f"listen 127.0.0.1:{port} ssl; ssl_certificate {issued.cert}; ssl_certificate_key {issued.key};"
    async with running_nginx(folder, plain.replace(f"listen 127.0.0.1:{port};", tls), port):
        yield


async def make_push_stream(bff: Deployment, url: str) -> None:
    """As an operator makes it: by the standard API of the transmitter, with the client's access token."""
    issuer, client = bff.client.settings["issuer"], bff.client
    host, _, realm = issuer.partition("/realms/")
    async with plain_http() as http:
        metadata = (await http.get(f"{host}/.well-known/ssf-configuration/realms/{realm}")).json()
        form = {"grant_type": "client_credentials", "scope": "ssf.read ssf.manage"}
        granted = await http.post(
            f"{issuer}/protocol/openid-connect/token", data=form, auth=(client.client_id, client.secret)
        )
        delivery = {"method": "urn:ietf:rfc:8935", "endpoint_url": url, "authorization_header": DELIVERY}
        body = {"delivery": delivery, "events_requested": [SESSION_REVOKED]}
        headers = {"authorization": f"Bearer {granted.json()['access_token']}"}
        made = await http.post(metadata["configuration_endpoint"], json=body, headers=headers)
        assert made.status_code == 201, made.text


async def test_a_session_that_ends_at_keycloak_ends_here_by_push_over_tls(
    tmp_path: Path, transmitter: Transmitter
) -> None:
    async with (
        deployed(tmp_path, transmitter, security_events="push", security_events_authorization=DELIVERY) as bff,
        tls_front(tmp_path / "front", transmitter.authority, transmitter.front, bff.replicas[0]),
    ):
        await make_push_stream(bff, transmitter.push_url)
        alice, bob = await bff.signed_in(), await bff.signed_in("bob@example.com")
        assert (await bff.call(alice)).status_code == 200
        await sign_out_at_keycloak(bff, alice)
        assert await ended(bff, alice) == "security_event"
        assert (await bff.call(bob)).status_code == 200
