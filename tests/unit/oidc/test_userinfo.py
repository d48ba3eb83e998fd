"""UserInfo responses: JSON, or a signed token, by their media type."""

from typing import Any

import pytest

from bff.oidc.jwks import parse_key_set
from bff.oidc.jws import JwsKeyUnknown, JwsRefused
from bff.oidc.strict_json import JsonRefused
from bff.oidc.userinfo import SignedUserInfo, UserInfo, parse_userinfo, validate_signed_userinfo
from tests.harness.minting import CLIENT_ID, ISSUER, NOW, RSA_KEY, jwk, jwks, mint

KEYS = parse_key_set(jwks(jwk(RSA_KEY)))


def validated(compact: str, *algorithms: str) -> Any:
    arguments: dict[str, Any] = {"issuer": ISSUER, "client_id": CLIENT_ID, "now": NOW, "skew": 60.0}
    return validate_signed_userinfo(compact, KEYS, algorithms=algorithms or ("RS256", "PS256"), **arguments)


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"sub":"a"}', {"sub": "a"}),
        ("", b'{"sub":"a"}', {"sub": "a"}),
        ("application/jwt", b'{"sub":"a"}', SignedUserInfo('{"sub":"a"}')),
        ("APPLICATION/JWT; charset=UTF-8", b"a.b.c\r\n", SignedUserInfo("a.b.c")),
    ],
)
def test_the_media_type_says_what_it_is(content_type: str, body: bytes, expected: UserInfo) -> None:
    assert parse_userinfo(content_type, body) == expected
    assert "a.b.c" not in repr(SignedUserInfo("a.b.c"))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/json", b"a.b.c"), ("text/html", b"<html>"), ("application/jwt", "é.b.c".encode()), ("", b"[]")],
)
def test_what_is_neither_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(JsonRefused):
        parse_userinfo(content_type, body)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"iss": ISSUER},
        {"aud": CLIENT_ID},
        {"aud": ["x", CLIENT_ID]},
        {"exp": int(NOW) - 59},
        {"iss": ISSUER, "n": 1},
    ],
)
def test_a_signature_of_the_provider_is_enough(claims: dict[str, Any]) -> None:
    content = {"sub": "a", **claims}
    assert validated(mint(content)) == content
    assert validated(mint(content, {"alg": "PS256", "kid": "k1", "typ": "JWT"}, alg="PS256")) == content


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        *[({"iss": iss}, "iss") for iss in ("https://x", None, 5)],
        *[({"aud": aud}, "aud") for aud in ("x", [], ["x"], None, {"a": 1})],
        *[({"exp": exp}, "exp") for exp in (int(NOW) - 60, 5, None, "tomorrow", True)],
    ],
)
def test_what_it_says_about_itself_must_be_right(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(JwsRefused, match=reason):
        validated(mint({"sub": "a", **claims}))


def test_only_configured_algorithms_and_known_keys() -> None:
    with pytest.raises(JwsRefused, match="algorithm"):
        validated(mint({"sub": "a"}), "ES256")
    with pytest.raises(JwsKeyUnknown):
        validated(mint({"sub": "a"}, {"alg": "RS256", "kid": "other"}))
    for typ in ("at+jwt", "logout+jwt"):
        with pytest.raises(JwsRefused, match="another purpose"):
            validated(mint({"sub": "a"}, {"alg": "RS256", "kid": "k1", "typ": typ}))
