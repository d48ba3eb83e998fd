"""Whether the provider would redirect to our redirect URI, and accepts a pushed request."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.redirect_uri import check_redirect_uri
from bff.config.settings import load_settings
from bff.oidc.metadata import ProviderMetadata
from bff.provider.http import HttpClient
from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from tests.harness.provider_server import Behaviour, answer, reset
from tests.harness.raw_http import Request
from tests.harness.settings import with_changes

PUBLIC_URL = "http://127.0.0.1:8080"  # as registered in the simulated org
CALLBACK = f"{PUBLIC_URL}/authorization-code/callback"


@pytest.fixture
async def okta() -> AsyncIterator[RunningSimulator]:
    async with running_simulator(SimulatorConfig(pushed_requests=True)) as running:
        yield running


async def checked(
    okta: RunningSimulator, *, pushed: bool = False, authorize: str = "", accepted: bool | None = True, **changes: str
) -> dict[str, CheckResult]:
    endpoints = [f"{okta.issuer}/v1/{name}" for name in ("authorize", "token", "keys", "par")]
    metadata = ProviderMetadata(
        okta.issuer,
        authorize or endpoints[0],
        *endpoints[1:3],
        pushed_authorization_request_endpoint=endpoints[3] if pushed else None,
    )
    client = {"client_id": okta.control.client.client_id, "client_secret": okta.control.client.secrets[0]}
    values = {"issuer": okta.issuer, "public_url": PUBLIC_URL, "provider_timeout": "60", **client, **changes}
    http = HttpClient()
    try:
        results = await check_redirect_uri(http, load_settings(with_changes(**values)), metadata, accepted=accepted)
    finally:
        await http.close()
    return {result.name: result for result in results}


async def test_a_registered_redirect_uri_is_accepted(okta: RunningSimulator) -> None:
    results = await checked(okta)
    assert [result.status for result in results.values()] == ["ok", "ok"]
    assert okta.control.violations == []


@pytest.mark.parametrize(
    ("accepted", "fix"), [(True, "(`bff okta apply` does it)."), (False, "or the client ID is unknown")]
)
async def test_an_error_page_instead_of_a_redirect(okta: RunningSimulator, accepted: bool, fix: str) -> None:
    result = (await checked(okta, callback_path="/elsewhere", accepted=accepted))["redirect_uri"]
    assert (result.status, "error page (400)" in result.observed) == ("fail", True)
    assert f"add exactly {PUBLIC_URL}/elsewhere" in result.fix
    assert fix in result.fix


async def test_an_unknown_scope_is_not_blamed_on_the_uri(okta: RunningSimulator) -> None:
    result = (await checked(okta, scopes="openid orders offline_access"))["redirect_uri"]
    assert result.status == "fail"
    assert "accepts the redirect URI and rejects the request (invalid_scope)" in result.observed
    assert "BFF_SCOPES" in result.fix


async def test_a_request_is_pushed_if_that_is_offered(okta: RunningSimulator) -> None:
    results = await checked(okta, pushed=True, par="required")
    assert [result.status for result in results.values()] == ["ok", "ok"]
    assert "pushed" in [event.kind for event in okta.control.events()]


@pytest.mark.parametrize(("par", "status"), [("required", "fail"), ("auto", "warn")])
async def test_a_push_that_is_rejected(okta: RunningSimulator, par: str, status: str) -> None:
    results = await checked(okta, pushed=True, par=par, callback_path="/elsewhere")
    assert (results["par"].status, results["redirect_uri"].status) == (status, "fail")
    assert "invalid_request" in results["par"].observed


@pytest.mark.parametrize(
    ("location", "status", "observed"),
    [
        ("https://login.example.com/?x=1", "warn", "sends the browser to login.example.com first"),
        (f"{CALLBACK}?code=c&state=s", "ok", "is accepted"),
        (f"{CALLBACK}?nonsense=1", "fail", "cannot be parsed"),
        (f"{CALLBACK}?error=access_denied&state=s", "fail", "(access_denied)"),
        (f"{CALLBACK}?error=consent_required&state=s", "ok", "is accepted"),
    ],
)
async def test_where_the_provider_redirects_to(
    okta: RunningSimulator, location: str, status: str, observed: str
) -> None:
    result = await answered(okta, answer(302, headers={"location": location}))
    assert (result.status, observed in result.observed) == (status, True), result


async def test_a_provider_that_does_not_answer_or_fails_is_a_warning(okta: RunningSimulator) -> None:
    for behaviour in (reset, answer(503), answer(429)):
        assert (await answered(okta, behaviour)).status == "warn"


async def answered(okta: RunningSimulator, behaviour: Behaviour) -> CheckResult:
    """The result for an authorization endpoint that answers every request like this."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await behaviour(Request("GET", "/", {}, b""), writer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        authorize = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/authorize"
        return (await checked(okta, authorize=authorize))["redirect_uri"]
