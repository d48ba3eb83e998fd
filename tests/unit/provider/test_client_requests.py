"""Client assertions: one for each request, with the audience that the provider accepts."""

import base64
import json
import logging
from typing import Any

import pytest

from bff.config.settings import load_settings
from bff.oidc.client_auth import Audience, ClientAuthentication, client_authentication
from bff.oidc.token import Denied, Granted, NotRevoked, Revoked
from bff.provider.client_requests import ClientRequests
from bff.provider.open import client_auth
from tests.harness.provider_server import (
    DISCOVERY,
    GOOD_TOKENS,
    WITHIN,
    Behaviour,
    ProviderServer,
    answer,
    answer_json,
    client_of,
    discovery_document,
    provider_server,
    secret_of,
)
from tests.harness.raw_http import Request, Writer
from tests.harness.settings import with_changes

INVALID_CLIENT = answer_json({"error": "invalid_client"}, 401)
SECRET = "s" * 32


def asserting(*audiences: Audience, secrets: tuple[str, ...] = (SECRET,)) -> ClientAuthentication:
    return client_authentication("client_secret_jwt", "0oa1", secrets=secrets, audiences=audiences)


def claims_of(request: Request) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(request.form["client_assertion"].split(".")[1] + "=="))
    return claims


def audiences_at(server: ProviderServer, path: str) -> list[str]:
    """What was tried at this endpoint so far, without the address."""
    return [claims_of(request)["aud"].removeprefix(server.issuer) for request in server.to(path)]


def only_for(path: str, then: Behaviour, *, otherwise: Behaviour = INVALID_CLIENT) -> Behaviour:
    """Refuses every audience but this path of the provider; "" is its issuer."""

    async def send(request: Request, writer: Writer) -> None:
        accepted = claims_of(request)["aud"].removeprefix(f"http://{request.headers['host']}") == path
        await (then if accepted else otherwise)(request, writer)

    return send


@pytest.mark.parametrize(
    ("issuer", "setting", "audiences"),
    [
        ("https://example.okta.com", "auto", ("endpoint", "issuer")),
        ("https://login.example.com/oauth2/default", "auto", ("endpoint", "issuer")),
        ("https://kc.example.com/realms/one", "auto", ("token_endpoint", "issuer")),
        ("https://kc.example.com/realms/one", "issuer", ("issuer",)),
        ("https://example.okta.com", "token_endpoint", ("token_endpoint",)),
        ("https://kc.example.com/realms/one", "endpoint", ("endpoint",)),
    ],
)
def test_the_audiences_that_a_setting_tries(issuer: str, setting: str, audiences: tuple[str, ...]) -> None:
    settings = load_settings(with_changes(issuer=issuer, client_assertion_audience=setting))
    assert client_auth(settings.provider).audiences == audiences


@pytest.mark.parametrize(
    ("audience", "at_token", "at_revoke"),
    [("endpoint", "/token", "/revoke"), ("token_endpoint", "/token", "/token"), ("issuer", "", "")],
)
async def test_one_audience_is_sent_and_no_other_is_tried(audience: Audience, at_token: str, at_revoke: str) -> None:
    async with (
        provider_server(token=INVALID_CLIENT, revoke=INVALID_CLIENT) as server,
        client_of(server, asserting(audience)) as provider,
    ):
        assert await provider.refresh("rt1", timeout=WITHIN) == Denied(401, "invalid_client")
        assert isinstance(await provider.revoke("rt1", "refresh_token", within=WITHIN), NotRevoked)
        assert (audiences_at(server, "/token"), audiences_at(server, "/revoke")) == ([at_token], [at_revoke])


async def test_a_refused_audience_is_followed_by_the_issuer_once_and_remembered_for_that_endpoint() -> None:
    async with (
        provider_server(revoke=only_for("", answer(200))) as server,
        client_of(server, asserting("endpoint", "issuer")) as provider,
    ):
        for _ in range(3):
            assert isinstance(await provider.refresh("rt1", timeout=WITHIN), Granted)
            assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()
        assert audiences_at(server, "/token") == ["/token"] * 3
        assert audiences_at(server, "/revoke") == ["/revoke", "", "", ""]
        server.routes["/revoke"] = only_for("/revoke", answer(200))
        for _ in range(2):
            assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()
        assert audiences_at(server, "/revoke")[4:] == ["", "/revoke", "/revoke"]
        provider.replace_client_auth(asserting("issuer"))
        await provider.revoke("rt1", "refresh_token", within=WITHIN)
        assert audiences_at(server, "/revoke")[-1] == ""


async def test_a_pushed_request_repeats_with_the_issuer_too() -> None:
    pushed = answer_json({"request_uri": "urn:x", "expires_in": 60}, 201)
    async with provider_server(par=only_for("", pushed)) as server:
        document = discovery_document(server.issuer, pushed_authorization_request_endpoint=f"{server.issuer}/par")
        server.routes[DISCOVERY] = answer_json(document)
        async with client_of(server, asserting("token_endpoint", "issuer")) as provider:
            await provider.push({"client_id": "0oa1"})
            await provider.push({"client_id": "0oa1"})
        assert audiences_at(server, "/par") == ["/token", "", ""]


async def test_a_response_that_proves_nothing_is_not_remembered() -> None:
    async with (
        provider_server(token=only_for("", answer(503))) as server,
        client_of(server, asserting("token_endpoint", "issuer")) as provider,
    ):
        for _ in range(2):
            await provider.refresh("rt1", timeout=WITHIN)
        assert audiences_at(server, "/token") == ["/token", "", "/token", ""]


async def test_every_secret_is_tried_with_every_audience_and_each_assertion_is_single_use(
    caplog: pytest.LogCaptureFixture,
) -> None:
    auth = asserting("token_endpoint", "issuer", secrets=(SECRET, "t" * 32))
    async with provider_server(token=INVALID_CLIENT) as server, client_of(server, auth) as provider:
        assert await provider.refresh("rt1", timeout=WITHIN) == Denied(401, "invalid_client")
        assert audiences_at(server, "/token") == ["/token", "/token", "", ""]
        assert len({claims_of(request)["jti"] for request in server.to("/token")}) == 4
    (record,) = [record for record in caplog.records if record.name == ClientRequests.__module__]
    assert (record.levelno, record.__dict__["attempts"]) == (logging.ERROR, 4)


async def test_a_secret_without_assertion_is_sent_once() -> None:
    async with provider_server(token=INVALID_CLIENT) as server, client_of(server) as provider:
        await provider.refresh("rt1", timeout=WITHIN)
        server.routes["/token"] = answer_json(GOOD_TOKENS)
        await provider.refresh("rt1", timeout=WITHIN)
        assert [secret_of(request) for request in server.to("/token")] == ["one", "one"]
