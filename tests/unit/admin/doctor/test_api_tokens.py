"""What `bff doctor` says of the tokens of routes, at the simulated Okta, which refuses as Okta does."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bff.admin.doctor.api_tokens import NO_SUBJECT, check_api_tokens
from bff.admin.doctor.check_result import CheckResult
from bff.config.settings import load_settings
from bff.oidc.token_exchange import TOKEN_EXCHANGE
from demo.simulator.config import Client, ServerConfig, SimulatorConfig
from demo.simulator.server import RunningSimulator, running_simulator
from tests.harness.settings import with_changes

SECRET = "secret-of-the-service-app-0123456789"
ORDERS = {"audience": "api://orders", "scope": "orders:read", "client": "service"}
OWN = {"scope": "orders:read", "client": "service"}
CONFIG = SimulatorConfig(
    service_apps=(
        Client(
            "0oaservice0000000001",
            secrets=(SECRET,),
            grant_types=frozenset({"client_credentials", TOKEN_EXCHANGE}),
            application_type="service",
        ),
        Client("0oawithoutthegrant01", secrets=(SECRET,), grant_types=frozenset(), application_type="service"),
    ),
    servers=(
        ServerConfig(id="aus0orders", audience="api://orders", scopes=("orders:read",), trusts=("default",)),
        ServerConfig(id="aus0closed", audience="api://closed", scopes=("orders:read",), policy_grants=()),
    ),
)


@pytest.fixture
async def okta() -> AsyncIterator[RunningSimulator]:
    async with running_simulator(CONFIG) as running:
        yield running


async def checked(okta: RunningSimulator, *tokens: Any, **changes: str) -> list[CheckResult]:
    """The `issuer` of a token is the id of a server here."""
    for token in tokens:
        for content in token.values():
            if isinstance(content, dict):
                content["issuer"] = okta.issuer_of(content.get("issuer", "aus0orders"))
    upstream = "http://127.0.0.1:9"
    routes = [{"prefix": f"/api{n}", "upstream": upstream, "token": token} for n, token in enumerate(tokens)]
    settings = {
        "issuer": okta.issuer,
        "client_id": okta.control.client.client_id,
        "client_secret": okta.control.client.secrets[0],
        "service_client_id": "0oaservice0000000001",
        "service_client_secret": SECRET,
        "routes": json.dumps(routes),
        **changes,
    }
    return await check_api_tokens(load_settings(with_changes(**settings)))


@pytest.mark.parametrize(
    ("token", "changes", "status", "words"),
    [
        ({"exchange": {**ORDERS}}, {}, "ok", "invalid_request"),
        ({"client_credentials": {**OWN}}, {}, "ok", "issues the token"),
        ({"exchange": {**ORDERS, "client": "sign_in"}}, {}, "fail", "service apps only"),
        ({"exchange": {**ORDERS, "audience": "api://other"}}, {}, "fail", "invalid_target"),
        ({"exchange": {**ORDERS}}, {"service_client_id": "0oawithoutthegrant01"}, "fail", "unauthorized_client"),
        ({"exchange": {**ORDERS}}, {"service_client_secret": "another"}, "fail", "invalid_client"),
        ({"client_credentials": {**OWN, "scope": "orders:delete"}}, {}, "fail", "invalid_scope"),
        ({"client_credentials": {**OWN, "issuer": "aus0closed"}}, {}, "fail", "access_denied"),
        ({"client_credentials": {**OWN, "issuer": "aus0missing"}}, {}, "fail", "does not answer"),
        ({"client_credentials": {**OWN, "client": "sign_in"}}, {}, "fail", "unauthorized_client"),
    ],
)
async def test_what_is_wrong_with_a_token_is_named_with_its_fix(
    okta: RunningSimulator, token: dict[str, Any], changes: dict[str, str], status: str, words: str
) -> None:
    result = (await checked(okta, token, **changes))[0]
    assert (result.name, result.status) == ("api_token /api0", status), result
    assert words in result.observed
    assert bool(result.fix) is (status != "ok")
    assert SECRET not in result.observed + result.fix


async def test_what_needs_a_user_is_said(okta: RunningSimulator) -> None:
    exchange, again = {"exchange": {**ORDERS}}, {"exchange": {**ORDERS}}
    results = await checked(okta, exchange, again, {"resource": "https://api.example.com/"})
    assert [result.name for result in results] == ["api_token /api0", "api_tokens"]
    assert [result.status for result in results] == ["ok", "skipped"]
    assert "/api0, /api1, /api2" in results[-1].fix
    assert okta.control.requests_of(TOKEN_EXCHANGE) == 1, "equal tokens are requested once"
    assert await check_api_tokens(load_settings(with_changes())) == []


async def test_answers_that_look_like_success(okta: RunningSimulator) -> None:
    okta.control.fault("edit_answer", grant="client_credentials", set={"scope": "other"})
    (fewer,) = await checked(okta, {"client_credentials": {**OWN}})
    assert (fewer.status, "without orders:read" in fewer.observed) == ("warn", True)
    okta.control.fault("edit_answer", grant="client_credentials", set={"access_token": None})
    (without,) = await checked(okta, {"client_credentials": {**OWN}})
    assert without.status == "fail"
    okta.control.fault("rate_limited", grant="client_credentials")
    (busy,) = await checked(okta, {"client_credentials": {**OWN}})
    assert (busy.status, "too many requests" in busy.observed) == ("fail", True)
    assert NO_SUBJECT not in repr(okta.control.events())
