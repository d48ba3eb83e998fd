"""Logout messages: the URL at the provider, logout tokens, front-channel parameters."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from bff.oidc.jwks import parse_key_set
from bff.oidc.logout import (
    EVENT,
    LogoutKeyUnknown,
    LogoutToken,
    LogoutTokenRefused,
    end_session_url,
    validate_front_channel_logout,
    validate_logout_token,
    validate_logout_token_form,
)
from bff.oidc.metadata import ProviderMetadata
from tests.harness.minting import CLIENT_ID, EC_KEY, ISSUER, NONCE, NOW, OTHER_RSA_KEY, RSA_KEY, SUB, jwk, jwks, mint

PROVIDER = ProviderMetadata(
    issuer=ISSUER,
    authorization_endpoint=f"{ISSUER}/v1/authorize",
    token_endpoint=f"{ISSUER}/v1/token",
    jwks_uri=f"{ISSUER}/v1/keys",
    end_session_endpoint=f"{ISSUER}/v1/logout?tenant=1",
)
KEYS = parse_key_set(jwks(jwk(RSA_KEY), jwk(EC_KEY, "ec")))
LOGOUT = {"alg": "RS256", "kid": "k1", "typ": "logout+jwt"}


def logout_token(header: dict[str, Any] | None = None, key: Any = RSA_KEY, **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": CLIENT_ID, "iat": NOW, "exp": NOW + 120, "jti": "j1", "sub": SUB, "sid": "s1"}
    claims = {**claims, "events": {EVENT: {}}, **changes}
    return mint({name: value for name, value in claims.items() if value is not None}, header or LOGOUT, key=key)


def validate(compact: str, issuer: str = ISSUER) -> LogoutToken:
    return validate_logout_token(
        compact, KEYS, issuer=issuer, client_id=CLIENT_ID, now=NOW, skew=60, algorithms=("RS256",)
    )


@pytest.mark.parametrize(
    "known", [{}, {"id_token_hint": "a.b.c", "post_logout_redirect_uri": "https://app.example/?a=b&c"}]
)
def test_the_logout_url_has_the_parameters_that_are_known(known: dict[str, str]) -> None:
    arguments: dict[str, Any] = {"id_token_hint": None, "post_logout_redirect_uri": None, **known}
    url = end_session_url(PROVIDER, **arguments, client_id=CLIENT_ID)
    assert url is not None
    assert url.startswith(f"{ISSUER}/v1/logout?tenant=1&")
    assert dict(parse_qsl(urlsplit(url).query)) == {"tenant": "1", "client_id": CLIENT_ID, **known}
    lacking = replace(PROVIDER, end_session_endpoint=None)
    assert end_session_url(lacking, **arguments, client_id=CLIENT_ID) is None


@pytest.mark.parametrize(
    ("changes", "sub", "sid"),
    [
        ({}, SUB, "s1"),
        ({"sid": None}, SUB, None),
        ({"sub": None}, None, "s1"),
        ({"sid": "s" * 255}, SUB, "s" * 255),
        ({"aud": [CLIENT_ID]}, SUB, "s1"),
        ({"iat": NOW + 60}, SUB, "s1"),
        ({"exp": NOW - 59}, SUB, "s1"),
        ({"exp": None}, SUB, "s1"),
        ({"exp": None, "iat": NOW - 659}, SUB, "s1"),
    ],
)
def test_a_logout_token_names_a_session_or_a_user(changes: dict[str, Any], sub: str | None, sid: str | None) -> None:
    assert validate(logout_token(**changes)) == LogoutToken(sub, sid, "j1", changes.get("iat", NOW))


@pytest.mark.parametrize("typ", ["logout+jwt", "JWT", None])
def test_the_types_of_older_providers_are_accepted(typ: str | None) -> None:
    header = {name: value for name, value in {**LOGOUT, "typ": typ}.items() if value}
    assert validate(logout_token(header)).sid == "s1"
    validate_logout_token_form(logout_token(header), ("RS256",))


BAD_CLAIMS: dict[str, list[Any]] = {
    "iss": [None, "https://evil", ISSUER + "/"],
    "aud": [None, "other", [CLIENT_ID, "other"]],
    "events": [None, {"other": {}}, [EVENT], {EVENT: True}],
    "nonce": [NONCE],
    "sid": [7, "s" * 256, "sé"],
    "sub": ["", 7],
    "jti": [None, "j" * 256],
    "iat": [None, True, NOW + 61],
    "exp": ["never", NOW - 60],
}


@pytest.mark.case("BL-004", "BL-005", "BL-006", "BL-009")
@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim, bad in BAD_CLAIMS.items() for value in bad])
def test_a_bad_claim_is_a_bad_request(claim: str, value: Any) -> None:
    with pytest.raises(LogoutTokenRefused, match=rf"\b{claim}\b.*: ") as caught:
        validate(logout_token(**{claim: value}))
    assert caught.value.code == "invalid_request"
    assert not isinstance(caught.value, LogoutKeyUnknown)


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        pytest.param(logout_token(header={"alg": "none", "kid": "k1"}), "algorithm", id="BL-002 none"),
        pytest.param(logout_token(header={"alg": "HS256", "kid": "k1"}), "algorithm", id="BL-003 HS256"),
        pytest.param(logout_token(header={"alg": "ES256", "kid": "ec"}), "algorithm", id="BL-003 not configured"),
        pytest.param(logout_token({**LOGOUT, "typ": "at+jwt"}), "typ", id="typ of an access token"),
        pytest.param("a" * 10_000_000, "longer", id="BL-020 10 MB"),
        pytest.param("", "segments", id="empty"),
        pytest.param(logout_token(key=OTHER_RSA_KEY), "signature", id="another key"),
        pytest.param(mint(), "events", id="BL-009 an ID token"),
        pytest.param(logout_token(sub=None, sid=None), "both missing", id="BL-010 neither sid nor sub"),
        pytest.param(logout_token(exp=None, iat=NOW - 660), "expired", id="without exp, over ten minutes old"),
    ],
)
def test_a_bad_logout_token_is_a_bad_request(compact: str, reason: str) -> None:
    with pytest.raises(LogoutTokenRefused, match=reason):
        validate(compact)
    if reason in ("algorithm", "typ", "longer", "segments"):
        with pytest.raises(LogoutTokenRefused, match=reason):
            validate_logout_token_form(compact, ("RS256",))


def test_an_empty_issuer_never_matches() -> None:
    with pytest.raises(LogoutTokenRefused, match="iss"):
        validate(logout_token(iss=""), issuer="")


def test_an_unknown_key_has_its_own_error() -> None:
    with pytest.raises(LogoutKeyUnknown) as caught:
        validate(logout_token({**LOGOUT, "kid": "zzz"}))
    assert caught.value.kid == "zzz"


@pytest.mark.parametrize(
    ("iss", "sid", "ended"),
    [
        (ISSUER, "s1", "s1"),
        ("https://evil", "s1", None),
        (None, "s1", None),
        (ISSUER, None, None),
        (None, None, None),
        (ISSUER, "", None),
        (ISSUER, "s\n", None),
        (ISSUER, "s" * 256, None),
    ],
)
def test_the_front_channel_ends_only_a_session_it_can_name(iss: str | None, sid: str | None, ended: str | None) -> None:
    assert validate_front_channel_logout((ISSUER,), iss, sid) == ended
