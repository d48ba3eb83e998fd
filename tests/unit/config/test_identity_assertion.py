"""Routes with an identity assertion, and the keys that sign it."""

import json
from pathlib import Path
from typing import Any

import pytest

from bff.config.assertions import AssertionSettings
from bff.config.identity_assertion import DEFAULT_HEADER, IdentityToken
from bff.config.settings import load_settings
from tests.harness.minting import EC_KEY, EC_KEY_384, RSA_KEY, private_jwk
from tests.harness.settings import problems, with_changes

KEYS = json.dumps(private_jwk(EC_KEY, "own"))
IDENTITY = {"audience": "orders-api", "claims": ["sub", "email"], "lifetime": 120}


def with_route(keys: str | None = KEYS, **options: Any) -> dict[str, str]:
    routes = [{"prefix": "/api", "upstream": "https://api.internal", **options}]
    return with_changes(assertion_keys=keys, routes=json.dumps(routes))


def test_in_the_place_of_the_access_token() -> None:
    (route,) = load_settings(with_route(token={"identity": IDENTITY})).routes
    assert route.identity == route.token == IdentityToken(**IDENTITY)  # type: ignore[arg-type]
    assert route.identity.header_name == b"authorization"
    assert route.carries_credentials
    assert not route.sends_access_token
    (smallest,) = load_settings(with_route(token={"identity": {"audience": "orders-api"}})).routes
    assert smallest.identity is not None
    assert (smallest.identity.claims, smallest.identity.lifetime) == (("sub",), 60)


@pytest.mark.parametrize("token", ["user", "user_or_none"])
def test_beside_the_access_token(token: str) -> None:
    (route,) = load_settings(with_route(token=token, assertion=IDENTITY)).routes
    assert route.sends_access_token
    assert route.identity is not None
    assert route.identity.header_name == DEFAULT_HEADER.lower().encode()
    (renamed,) = load_settings(with_route(assertion={**IDENTITY, "header": "X-Jwt-Assertion"})).routes
    assert renamed.identity is not None
    assert renamed.identity.header_name == b"x-jwt-assertion"


@pytest.mark.parametrize(
    ("options", "key", "reason"),
    [
        ({"token": {"identity": {}}}, "token", "audience"),
        ({"token": {"identity": {**IDENTITY, "header": "X-A"}}}, "token", "header"),
        ({"token": {"identity": {**IDENTITY, "lifetime": 601}}}, "token", "lifetime"),
        ({"token": {"identity": {**IDENTITY, "audience": "two words"}}}, "token", "visible ASCII"),
        ({"token": {"identity": IDENTITY, "exchange": {}}}, "token", "another form"),
        ({"token": {"identity": "orders-api"}}, "token", "another form"),
        ({"token": "identity"}, "token", "'user_or_none', 'none' or a table"),
        ({"assertion": {**IDENTITY, "lifetime": 9}}, "assertion.lifetime", "10"),
        ({"assertion": {**IDENTITY, "audience": ""}}, "assertion.audience", "empty"),
        ({"assertion": {**IDENTITY, "claims": ["sub", "exp"]}}, "assertion.claims", "exp"),
        ({"assertion": {**IDENTITY, "header": "Authorization"}}, "assertion.header", "standard meaning"),
        ({"assertion": {**IDENTITY, "header": "X-Forwarded-For"}}, "assertion.header", "standard meaning"),
        ({"assertion": {**IDENTITY, "header": "X_A"}}, "assertion.header", "cannot be the name"),
        ({"assertion": IDENTITY, "token": "none"}, "assertion", "token is none"),
        ({"assertion": IDENTITY, "token": {"identity": IDENTITY}}, "assertion", "identity, too"),
        ({"assertion": IDENTITY, "add_headers": {"x-bff-assertion": "a"}}, "assertion", "another setting"),
        (
            {"assertion": {**IDENTITY, "header": "X-A"}, "identity_headers": {"x-a": "sub"}},
            "assertion",
            "another setting",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(options: dict[str, Any], key: str, reason: str) -> None:
    reported = problems(with_route(**options))
    assert list(reported) == [f"BFF_ROUTES[0].{key}"]
    assert reason in reported[f"BFF_ROUTES[0].{key}"]


def test_no_route_forwards_a_clients_copy_of_the_header() -> None:
    routes = [
        {"prefix": "/a", "upstream": "https://a.internal", "assertion": {**IDENTITY, "header": "X-Proof-Of-User"}},
        {"prefix": "/b", "upstream": "https://a.internal", "allow_request_headers": ["x-proof-of-user"]},
    ]
    reported = problems(with_changes(assertion_keys=KEYS, routes=json.dumps(routes)))
    assert "x-proof-of-user at /b, which assertion of /a uses" in reported["BFF_ROUTES"]
    assert problems(with_route(allow_request_headers=[DEFAULT_HEADER]))


def test_the_session_keeps_the_claims() -> None:
    reported = problems({**with_route(assertion=IDENTITY), "BFF_USER_CLAIMS": "sub name"})
    assert "email, which the identity assertion of /api needs" in reported["BFF_USER_CLAIMS"]


def test_an_assertion_needs_a_key_that_has_no_other_purpose() -> None:
    assert "/api has an identity assertion" in problems(with_route(None, assertion=IDENTITY))["BFF_ASSERTION_KEYS"]
    assert "cannot be used" in problems(with_changes(assertion_keys="canary"))["BFF_ASSERTION_KEYS"]
    client = {"client_auth": "private_key_jwt", "client_secret": None}
    for others in (
        {"decryption_keys": KEYS},
        {"client_private_key": json.dumps(private_jwk(EC_KEY)), **client},
    ):
        ring = json.dumps({"keys": [private_jwk(RSA_KEY, "new"), private_jwk(EC_KEY, "own")]})
        assert "one purpose" in problems(with_changes(assertion_keys=ring, **others))["BFF_ASSERTION_KEYS"]
        same_kid = json.dumps(private_jwk(EC_KEY_384, json.loads(next(iter(others.values())) or "")["kid"]))
        assert "a kid that" in problems(with_changes(assertion_keys=same_kid, **others))["BFF_ASSERTION_KEYS"]
        separate = json.dumps(private_jwk(EC_KEY_384, "separate"))
        assert load_settings(with_changes(assertion_keys=separate, **others)).publishes_keys


FORWARD_AUTH = {"forward_auth_listen": "127.0.0.1:8081", "trusted_proxies": "127.0.0.1", "assertion_keys": KEYS}
TABLE = json.dumps({"identity": IDENTITY})


def test_forward_auth_has_the_same_two_ways(tmp_path: Path) -> None:
    instead = load_settings(with_changes(forward_auth_token=TABLE, dpop="on", **FORWARD_AUTH)).forward_auth
    assert instead.identity_token == instead.token == IdentityToken(**IDENTITY)  # type: ignore[arg-type]
    beside = load_settings(with_changes(forward_auth_assertion=json.dumps(IDENTITY), **FORWARD_AUTH)).forward_auth
    assert beside.token == "user"
    assert beside.identity_token is not None
    assert beside.identity_token.field("a") == (b"x-bff-assertion", b"a")
    (tmp_path / "bff.toml").write_text('forward_auth_token = { identity = { audience = "in-a-file" } }')
    in_file = load_settings(with_changes(**FORWARD_AUTH), tmp_path / "bff.toml").forward_auth.identity_token
    assert in_file == IdentityToken(audience="in-a-file")


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({"forward_auth_token": "none"}, "FORWARD_AUTH_TOKEN", "'user' or a table"),
        ({"forward_auth_token": "{canary"}, "FORWARD_AUTH_TOKEN", "not JSON"),
        ({"forward_auth_token": TABLE, "forward_auth_listen": None}, "FORWARD_AUTH_TOKEN", "listen is off"),
        ({"forward_auth_assertion": "{}"}, "FORWARD_AUTH_ASSERTION.audience", "missing"),
        ({"forward_auth_assertion": IDENTITY, "forward_auth_token": TABLE}, "FORWARD_AUTH_ASSERTION", "identity, too"),
        (
            {"forward_auth_assertion": {**IDENTITY, "header": "X-User-Sub"}},
            "FORWARD_AUTH_ASSERTION",
            "forward_auth_headers sets",
        ),
        ({"forward_auth_assertion": IDENTITY, "assertion_keys": None}, "ASSERTION_KEYS", "/auth/verify has an"),
        ({"forward_auth_assertion": IDENTITY, "user_claims": "sub"}, "USER_CLAIMS", "assertion of /auth/verify"),
        (
            {
                "forward_auth_assertion": {**IDENTITY, "header": "X-Proof"},
                "routes": [{"prefix": "/b", "upstream": "https://b.internal", "allow_request_headers": ["x-proof"]}],
            },
            "ROUTES",
            "BFF_FORWARD_AUTH_ASSERTION uses",
        ),
    ],
)
def test_what_forward_auth_cannot_mean_is_refused(changes: dict[str, Any], name: str, reason: str) -> None:
    written = {key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in changes.items()}
    reported = problems(with_changes(**{**FORWARD_AUTH, **written}))
    assert list(reported) == [f"BFF_{name}"]
    assert reason in reported[f"BFF_{name}"]
    assert "canary" not in str(reported)


def test_the_keys_are_published_and_not_printed() -> None:
    settings = load_settings(with_changes(assertion_keys=KEYS))
    assert settings.publishes_keys
    assert private_jwk(EC_KEY)["d"] not in repr(settings)
    assert AssertionSettings().ring is None
    assert not load_settings(with_changes()).publishes_keys
