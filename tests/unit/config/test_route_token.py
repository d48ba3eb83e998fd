"""`token` of a route: words, and tables that request another access token or sign an assertion."""

import json
from typing import Any

import pytest

from bff.admin.explain_token import explain_token, token_name
from bff.config.api_tokens import ClientCredentialsToken, ExchangeToken, ResourceToken
from bff.config.route_token import RouteToken
from bff.config.settings import Settings, load_settings
from bff.config.token_client import ServiceClientSettings
from tests.harness.settings import problems, with_changes

EXCHANGE = {"audience": "api://orders", "scope": "orders:read orders:write"}
SERVICE = {"service_client_id": "0oa2service", "service_client_secret": "canary-service-secret-4711"}
OTHER = "https://example.okta.com/oauth2/aus2"


def with_token(token: Any, **changes: str) -> dict[str, str]:
    routes = [{"prefix": "/api", "upstream": "https://api.internal", "token": token}]
    return with_changes(routes=json.dumps(routes), **changes)


def loaded(token: Any, **changes: str) -> tuple[Settings, RouteToken]:
    settings = load_settings(with_token(token, **changes))
    return settings, settings.routes[0].token


def test_words_and_tables() -> None:
    assert [loaded(word)[1] for word in ("user", "user_or_none", "none")] == ["user", "user_or_none", "none"]
    assert loaded({"exchange": EXCHANGE})[1] == ExchangeToken(
        audience="api://orders", scope=("orders:read", "orders:write")
    )
    assert loaded({"resource": "https://inventory.example.com"})[1] == ResourceToken(
        resource="https://inventory.example.com"
    )
    assert loaded({"client_credentials": {}})[1] == ClientCredentialsToken()


def test_a_requested_token_is_no_token_of_the_session() -> None:
    for token in ({"exchange": EXCHANGE}, {"resource": "urn:inventory"}, {"client_credentials": {"scope": "a"}}):
        settings, _ = loaded(token)
        (route,) = settings.routes
        assert route.api_token == route.token
        assert (route.sends_access_token, route.sends_users_token) == (True, False)
        assert route.carries_credentials


def test_a_token_has_the_same_name_wherever_it_is_configured_and_no_other_one_has_it() -> None:
    sources = [
        ExchangeToken(audience="a", scope=("b",)),
        ExchangeToken(audience="a", scope=("c",)),
        ExchangeToken(audience="a", scope=("b",), client="service"),
        ExchangeToken(audience="a", scope=("b",), issuer=OTHER),
        ResourceToken(resource="urn:a"),
        ResourceToken(resource="urn:b"),
    ]
    assert len({source.name for source in sources}) == len(sources)
    assert ExchangeToken(audience="a", scope=("b",)).name == sources[0].name


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ({"exchange": {}}, "audience"),
        ({"exchange": {**EXCHANGE, "resource": "https://a.example"}}, "resource"),
        ({"exchange": {**EXCHANGE, "audience": "two words"}}, "visible ASCII"),
        ({"exchange": {**EXCHANGE, "scope": "orders openid"}}, "openid"),
        ({"exchange": {**EXCHANGE, "scope": "offline_access"}}, "offline_access"),
        ({"exchange": {**EXCHANGE, "client": "other"}}, "client"),
        ({"exchange": {**EXCHANGE, "issuer": "http://elsewhere.example"}}, "issuer"),
        ({"exchange": EXCHANGE, "resource": "urn:a"}, "another form"),
        ({"exchange": "api://orders"}, "another form"),
        ({"resource": "https://a.example/#part"}, "absolute URI"),
        ({"resource": "inventory"}, "absolute URI"),
        ({"resource": ["urn:a", "urn:b"]}, "resource"),
        ({"client_credentials": {"scope": 'a"b'}}, "scope"),
        ({"refresh_token": {}}, "another form"),
        ({}, "another form"),
    ],
)
def test_what_cannot_be_meant_is_refused(token: Any, reason: str) -> None:
    reported = problems(with_token(token))
    assert list(reported) == ["BFF_ROUTES[0].token"]
    assert reason in reported["BFF_ROUTES[0].token"]


def test_only_routes_have_a_requested_token() -> None:
    reported = problems(with_changes(forward_auth_token=json.dumps({"exchange": EXCHANGE})))
    assert "only routes have" in reported["BFF_FORWARD_AUTH_TOKEN"]


def test_the_second_client_is_configured() -> None:
    token = {"exchange": {**EXCHANGE, "client": "service"}}
    assert "BFF_SERVICE_CLIENT_ID" in problems(with_token(token))["BFF_ROUTES"]
    settings, _ = loaded(token, **SERVICE)
    assert settings.service_client.client_id == "0oa2service"
    assert ServiceClientSettings().client_id is None
    assert "is missing" in problems(with_token(token, service_client_id="0oa2"))["BFF_SERVICE_CLIENT_SECRET"]
    by_key = {"service_client_id": "0oa2", "service_client_auth": "private_key_jwt"}
    assert "is missing" in problems(with_token(token, **by_key))["BFF_SERVICE_CLIENT_PRIVATE_KEY"]


def test_the_secret_of_the_sign_in_client_stays_at_its_host() -> None:
    loaded({"exchange": {**EXCHANGE, "issuer": OTHER}})
    elsewhere = {"exchange": {**EXCHANGE, "issuer": "https://other.example.com"}}
    assert "another host" in problems(with_token(elsewhere))["BFF_ROUTES"]
    settings, _ = loaded({"exchange": {**elsewhere["exchange"], "client": "service"}}, **SERVICE)
    assert settings.token_issuers == ("https://other.example.com",)


@pytest.mark.parametrize(
    ("token", "name", "parts"),
    [
        ("user", "user", ["its access token"]),
        ({"exchange": EXCHANGE}, "exchange for api://orders", ["orders:read orders:write", "0oa1example", "8693"]),
        ({"exchange": {**EXCHANGE, "client": "service"}}, "exchange for api://orders", ["service client 0oa2service"]),
        ({"resource": "urn:a"}, "resource urn:a", ["8707"]),
        ({"client_credentials": {"issuer": OTHER}}, "client_credentials of the sign-in client", ["own access", OTHER]),
    ],
)
def test_the_token_of_a_call_is_explained(token: Any, name: str, parts: list[str]) -> None:
    settings = load_settings(with_token(token, **SERVICE))
    explained = explain_token(settings, settings.routes[0])
    assert token_name(settings.routes[0]) == name
    assert all(part in explained for part in parts)
    assert SERVICE["service_client_secret"] not in explained
