"""Tokens for other APIs: exchange (RFC 8693), resource indicators (RFC 8707) and client credentials, as at Okta."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from demo.simulator.config import TOKEN_EXCHANGE, Client, ServerConfig, SimulatorConfig
from tests.unit.demo.simulator.application import Application, application
from tests.unit.demo.simulator.test_token_endpoint import claims

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
SERVICE = ("0oaservice0000000001", "service-secret-0123456789abcdef")
INVENTORY, BILLING = "https://inventory.example.com/", "https://billing.example.com/"
CONFIG = SimulatorConfig(
    service_apps=(
        Client(
            SERVICE[0],
            secrets=(SERVICE[1],),
            grant_types=frozenset({"client_credentials", TOKEN_EXCHANGE}),
            application_type="service",
        ),
        Client("0oawithoutthegrant01", secrets=(SERVICE[1],), application_type="service"),
        Client("0oawebappwithgrant01", secrets=(SERVICE[1],), grant_types=frozenset({TOKEN_EXCHANGE})),
    ),
    servers=(
        ServerConfig(resources=(INVENTORY, BILLING)),
        ServerConfig(
            id="aus0orders", audience="api://orders", scopes=("orders:read", "orders:write"), trusts=("default",)
        ),
        ServerConfig(id="aus0stranger", audience="api://stranger", scopes=("x",), default_scopes=("x",)),
        ServerConfig(id="aus0closed", audience="api://closed", scopes=("x",), trusts=("default",), policy_grants=()),
    ),
)


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with application(CONFIG) as running:
        yield running


async def exchange(app: Application, subject: str, server: str = "aus0orders", **changes: Any) -> httpx.Response:
    """`client` is whose credentials are sent; None leaves a parameter out."""
    client = changes.pop("client", SERVICE[0])
    form: dict[str, str | None] = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token": subject,
        "subject_token_type": ACCESS_TOKEN,
        "audience": "api://orders",
        "scope": "orders:read",
        **changes,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    return await app.backend.post(f"{app.okta.issuer_of(server)}/v1/token", data=sent, auth=(client, SERVICE[1]))


async def test_a_trusting_server_exchanges_an_access_token_for_one_of_its_own(app: Application) -> None:
    subject = (await app.tokens())["access_token"]
    answer = await exchange(app, subject)
    body = answer.json()
    assert answer.status_code == 200, body
    assert body.keys() == {"token_type", "expires_in", "access_token", "scope", "issued_token_type"}
    assert (body["token_type"], body["scope"], body["issued_token_type"]) == ("Bearer", "orders:read", ACCESS_TOKEN)
    before, after = claims(subject), claims(body["access_token"])
    assert (after["iss"], after["aud"]) == (app.okta.issuer_of("aus0orders"), "api://orders")
    assert (after["cid"], after["scp"]) == (SERVICE[0], ["orders:read"])
    kept = ("sub", "uid", "auth_time")
    assert [after[name] for name in kept] == [before[name] for name in kept]
    assert after["jti"] != before["jti"]
    assert app.okta.control.requests_of(TOKEN_EXCHANGE) == 1
    assert app.okta.control.state()["token_requests_by_grant"][TOKEN_EXCHANGE] == 1
    events = repr(app.okta.control.events())
    assert subject not in events
    assert body["access_token"] not in events


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"server": "default", "audience": "api://default"}, 400, "invalid_scope"),  # no scope of its own is configured
        ({"audience": "api://default"}, 400, "invalid_target"),
        ({"audience": None}, 400, "invalid_target"),
        ({"server": "aus0stranger", "audience": "api://stranger"}, 403, "access_denied"),
        ({"server": "aus0closed", "audience": "api://closed", "scope": "x"}, 401, "access_denied"),
        ({"server": "aus0missing"}, 404, None),
        ({"client": "0oawithoutthegrant01"}, 400, "unauthorized_client"),
        ({"client": "0oawebappwithgrant01"}, 400, "invalid_request"),
        ({"scope": None}, 400, "invalid_scope"),
        ({"scope": "openid"}, 400, "invalid_scope"),
        ({"scope": "orders:read offline_access"}, 400, "invalid_scope"),
        ({"scope": "orders:delete"}, 400, "invalid_scope"),
        ({"subject_token": "no.jwt.at-all"}, 400, "invalid_request"),
        ({"subject_token": None}, 400, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"}, 400, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}, 400, "invalid_request"),
        ({"actor_token": "x"}, 400, "invalid_request"),
    ],
)
async def test_what_okta_refuses_is_refused_with_its_error(
    app: Application, changes: dict[str, Any], status: int, error: str | None
) -> None:
    subject = (await app.tokens())["access_token"]
    refused = await exchange(app, changes.pop("subject", subject), **changes)
    assert (refused.status_code, refused.json().get("error")) == (status, error)


async def test_the_subject_token_must_be_a_live_access_token_of_a_custom_server(app: Application) -> None:
    body = await app.tokens()
    for wrong in (body["id_token"], body["refresh_token"]):
        assert (await exchange(app, wrong)).json()["error"] in ("invalid_request", "invalid_grant")
    derived = (await exchange(app, body["access_token"])).json()["access_token"]
    assert (await exchange(app, derived)).status_code == 200, "a server exchanges its own tokens too"
    app.use_org_server()
    of_org = (await app.tokens())["access_token"]
    assert (await exchange(app, of_org)).json()["error"] == "invalid_request"
    app.okta.control.revoke_user("alice@example.com")
    ended = await exchange(app, body["access_token"])
    assert (ended.status_code, ended.json()["error"]) == (400, "invalid_grant")
    app.endpoints = f"{app.okta.issuer}/v1"
    subject = (await app.tokens())["access_token"]
    app.okta.control.unassign("alice@example.com")
    assert (await exchange(app, subject)).json()["error"] == "invalid_request"
    app.okta.control.assign("alice@example.com")
    app.okta.control.advance(3600)
    assert (await exchange(app, subject)).json()["error"] == "invalid_grant"


async def test_the_org_server_exchanges_nothing(app: Application) -> None:
    form = {"grant_type": TOKEN_EXCHANGE, "subject_token": "x", "subject_token_type": ACCESS_TOKEN, "audience": "y"}
    answer = await app.backend.post(f"{app.okta.base_url}/oauth2/v1/token", data=form, auth=SERVICE)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_an_exchanged_token_ends_with_the_sign_in_and_is_revoked_by_its_own_client(app: Application) -> None:
    body = await app.tokens()
    derived = [(await exchange(app, body["access_token"])).json()["access_token"] for _ in range(2)]
    endpoints = f"{app.okta.issuer_of('aus0orders')}/v1"

    async def active(token: str) -> bool:
        answer = await app.backend.post(f"{endpoints}/introspect", data={"token": token}, auth=SERVICE)
        return bool(answer.json()["active"])

    assert [await active(token) for token in derived] == [True, True]
    await app.backend.post(f"{endpoints}/revoke", data={"token": derived[0]}, auth=SERVICE)
    assert [await active(token) for token in derived] == [False, True]
    assert (await app.refresh(body["refresh_token"])).status_code == 200, "the sign-in stays"
    app.okta.control.revoke_user("alice@example.com")
    assert not await active(derived[1])


async def test_a_refresh_with_a_resource_brings_a_token_for_it_and_rotates(app: Application) -> None:
    first = await app.tokens(resource=[INVENTORY, BILLING])
    assert claims(first["access_token"])["aud"] == "api://default"
    second = (await app.refresh(first["refresh_token"], resource=BILLING)).json()
    assert claims(second["access_token"])["aud"] == BILLING
    assert second["refresh_token"] != first["refresh_token"]
    third = (await app.refresh(second["refresh_token"])).json()
    assert claims(third["access_token"])["aud"] == "api://default"
    for resource, error in (
        ("https://unknown.example.com/", "invalid_target"),
        ([INVENTORY, BILLING], "invalid_target"),
    ):
        refused = await app.refresh(third["refresh_token"], resource=resource)
        assert (refused.status_code, refused.json()["error"]) == (400, error)
    code = (await app.sign_in(resource=[INVENTORY]))["code"]
    only = (await app.exchange(code, resource=INVENTORY)).json()
    assert claims(only["access_token"])["aud"] == INVENTORY
    mismatched = await app.refresh(only["refresh_token"], resource=BILLING)
    assert (mismatched.status_code, mismatched.json()["error"]) == (400, "invalid_request")
    assert (await app.refresh(third["refresh_token"], resource=INVENTORY)).status_code == 200, (
        "a refusal rotates nothing"
    )
    assert (await app.sign_in(resource=["https://unknown.example.com/"]))["error"] == "invalid_target"
    app.use_org_server()
    assert (await app.sign_in(resource=[INVENTORY]))["error"] == "invalid_target"


async def test_client_credentials_bring_an_access_token_alone(app: Application) -> None:
    async def ask(server: str, client: str = SERVICE[0], **form: str) -> httpx.Response:
        sent = {"grant_type": "client_credentials", **form}
        return await app.backend.post(f"{app.okta.issuer_of(server)}/v1/token", data=sent, auth=(client, SERVICE[1]))

    body = (await ask("aus0orders", scope="orders:write")).json()
    assert body.keys() == {"token_type", "expires_in", "access_token", "scope"}
    token = claims(body["access_token"])
    assert (token["aud"], token["sub"], token["cid"], token["scp"]) == (
        *("api://orders", SERVICE[0], SERVICE[0]),
        ["orders:write"],
    )
    assert "uid" not in token
    assert claims((await ask("aus0stranger")).json()["access_token"])["scp"] == ["x"], "the server's default scopes"
    for answer, status, error in (
        (await ask("aus0orders"), 400, "invalid_scope"),
        (await ask("aus0orders", scope="openid"), 400, "invalid_scope"),
        (await ask("aus0orders", scope="x"), 400, "invalid_scope"),
        (await ask("aus0closed", scope="x"), 401, "access_denied"),
        (await ask("aus0orders", "0oawithoutthegrant01", scope="orders:read"), 400, "unauthorized_client"),
    ):
        assert (answer.status_code, answer.json()["error"]) == (status, error)


async def test_metadata_name_the_scopes_and_with_a_client_id_the_grant_type(app: Application) -> None:
    url = f"{app.okta.issuer_of('aus0orders')}/.well-known/oauth-authorization-server"
    without = (await app.backend.get(url)).json()
    assert {"orders:read", "openid"} <= set(without["scopes_supported"])
    assert TOKEN_EXCHANGE not in without["grant_types_supported"]
    named = (await app.backend.get(url, params={"client_id": SERVICE[0]})).json()
    assert TOKEN_EXCHANGE in named["grant_types_supported"]


async def test_a_fault_concerns_requests_with_these_parameters_only(app: Application) -> None:
    subject = (await app.tokens())["access_token"]
    for kind, status, error in (
        ("invalid_target", 400, "invalid_target"),
        ("subject_token_invalid", 400, "invalid_request"),
        ("subject_token_expired", 400, "invalid_grant"),
        ("server_not_trusted", 403, "access_denied"),
        ("unauthorized_client", 400, "unauthorized_client"),
        ("invalid_scope", 400, "invalid_scope"),
    ):
        app.okta.control.fault(kind, grant=TOKEN_EXCHANGE, where={"audience": "api://orders"})
        assert (await exchange(app, subject, audience="api://other")).json()["error"] == "invalid_target"
        refused = await exchange(app, subject)
        assert (refused.status_code, refused.json()["error"]) == (status, error)
    assert (await exchange(app, subject)).status_code == 200
