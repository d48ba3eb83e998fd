"""Universal Logout: Okta's signed request, and the subject that it names."""

import json
from typing import Any

import pytest

from bff.errors import InvalidRequest, RevocationRefused
from bff.oidc.global_token_revocation import (
    EmailSubject,
    IssuerSubject,
    RevocationKeyUnknown,
    RevocationToken,
    read_subject,
    validate_revocation_token,
    validate_revocation_token_form,
)
from bff.oidc.jwks import KeySet, parse_key_set
from tests.harness.minting import CLIENT_ID, ISSUER, NOW, NULL, OTHER_RSA_KEY, RSA_KEY, good_claims, jwk, jwks, mint

ENDPOINT = "https://app.example/auth/universal-logout"
ORG = "https://example.okta.com"
HEADER = {"alg": "RS256", "kid": "k1", "typ": "global-token-revocation+jwt"}
WITHOUT_KID = {name: value for name, value in HEADER.items() if name != "kid"}
KEYS = parse_key_set(jwks(jwk(RSA_KEY)))
CLAIMS = {"iss": ORG, "aud": ENDPOINT, "sub": CLIENT_ID, "exp": NOW + 300, "nbf": NOW - 300, "iat": NOW, "jti": "j1"}


def token(header: dict[str, Any] = HEADER, key: Any = RSA_KEY, **changes: Any) -> str:
    irrelevant = {"nonce": None, "auth_time": None, "ver": None, "amr": None}
    return mint(good_claims(**irrelevant, **{**CLAIMS, **changes}), header, key=key)


def body(sub_id: object) -> bytes:
    return json.dumps({"sub_id": sub_id}).encode()


def validate(compact: str, keys: KeySet = KEYS) -> RevocationToken:
    return validate_revocation_token(
        compact,
        keys,
        issuers=(ISSUER, ORG),
        client_id=CLIENT_ID,
        endpoint=ENDPOINT,
        now=NOW,
        algorithms=("RS256", "ES256"),
    )


@pytest.mark.parametrize(
    ("changes", "iat"),
    [
        ({}, NOW),
        ({"iss": ISSUER}, NOW),
        ({"aud": [ENDPOINT]}, NOW),
        ({"iat": None, "nbf": None}, None),
        ({"iat": NOW + 300, "nbf": NOW + 300}, NOW + 300),
        ({"exp": NOW - 299}, NOW),
    ],
)
def test_a_request_of_okta_is_valid(changes: dict[str, Any], iat: float | None) -> None:
    assert validate(token(**changes)) == RevocationToken("j1", iat)


BAD_CLAIMS: dict[str, list[Any]] = {
    "iss": [None, "https://evil"],
    "aud": [None, ENDPOINT + "/", [ENDPOINT, "https://other"]],
    "sub": [None, "0oa2other"],
    "exp": [None, NOW - 300, True],
    "nbf": ["now", NOW + 301],
    "iat": [True, NOW + 301],
    "jti": [None, NULL, "", "j" * 256],
}


@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim, bad in BAD_CLAIMS.items() for value in bad])
def test_a_bad_claim_is_refused(claim: str, value: Any) -> None:
    with pytest.raises(RevocationRefused, match=f"{claim}: ") as caught:
        validate(token(**{claim: value}))
    assert not isinstance(caught.value, RevocationKeyUnknown)


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        (mint(), "typ"),
        (token({**HEADER, "typ": "jwt"}), "typ"),
        (token({**HEADER, "alg": "none"}), "algorithm"),
        (token({**HEADER, "alg": "RS512"}), "algorithm"),
        (mint(b"[]", HEADER), "payload"),
        ("x", "segments"),
    ],
    ids=["ID token", "typ", "none", "algorithm not configured", "payload", "text"],
)
def test_the_form_is_validated_before_keys_are_fetched(compact: str, reason: str) -> None:
    for refuse in (validate, lambda compact: validate_revocation_token_form(compact, ("RS256",))):
        with pytest.raises(RevocationRefused, match=reason):
            refuse(compact)
    validate_revocation_token_form(token(key=OTHER_RSA_KEY), ("RS256",))


def test_the_signature_decides_and_an_unknown_kid_asks_for_the_keys() -> None:
    with pytest.raises(RevocationRefused, match="signature"):
        validate(token(key=OTHER_RSA_KEY))
    with pytest.raises(RevocationKeyUnknown) as caught:
        validate(token({**HEADER, "kid": "zzz"}))
    assert caught.value.kid == "zzz"


def test_without_a_kid_the_first_eight_keys_are_tried() -> None:
    others = [jwk(OTHER_RSA_KEY, f"other-{number}") for number in range(8)]
    compact = token(WITHOUT_KID)
    assert validate(compact, parse_key_set(jwks(*others[:7], jwk(RSA_KEY)))).jti == "j1"
    for keys in (jwks(*others, jwk(RSA_KEY)), jwks(*others[:2])):
        with pytest.raises(RevocationRefused, match="matches"):
            validate(compact, parse_key_set(keys))


@pytest.mark.parametrize("email", ["a@b", "ä" * 252 + "@b"])
def test_a_subject_is_an_email_address_or_issuer_and_sub(email: str) -> None:
    assert read_subject(body({"format": "email", "email": email})) == EmailSubject(email)
    assert email not in repr(EmailSubject(email))
    assert read_subject(body({"format": "iss_sub", "iss": ISSUER, "sub": "00u1"})) == IssuerSubject(ISSUER, "00u1")


@pytest.mark.parametrize(
    "sub_id",
    [
        *[{"format": "email", "email": email} for email in ("ä" * 253 + "@b", "@b", "@bc", "abc", "a@b\n", ["a@b"])],
        {"format": "email"},
        {"format": "iss_sub", "iss": 1, "sub": "00u1"},
        {"format": "iss_sub", "iss": ISSUER, "sub": ""},
        {"format": "opaque", "id": "x"},
        {"email": "a@b"},
        "a@b",
        None,
    ],
)
def test_any_other_subject_is_refused(sub_id: object) -> None:
    with pytest.raises(InvalidRequest, match="sub_id"):
        read_subject(body(sub_id))


def test_a_body_that_is_no_short_json_object_is_refused() -> None:
    for document in (b"", b"[]", b'{"sub_id":1,"sub_id":2}', body("x" * 8192)):
        with pytest.raises(InvalidRequest, match="The body is"):
            read_subject(document)
