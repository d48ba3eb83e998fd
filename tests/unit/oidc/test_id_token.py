"""ID tokens: every claim that we rely on, at a sign-in and after a refresh."""

import hmac
import json
import sys
from types import FrameType
from typing import Any

import pytest

from bff.oidc.id_token import (
    IdTokenClaims,
    IdTokenRefused,
    UnknownKey,
    claims_of_validated,
    user_claims_of,
    validate_id_token,
    validate_refreshed_id_token,
)
from bff.oidc.jwks import parse_key_set
from tests.harness.minting import (
    ACCESS_TOKEN,
    CLIENT_ID,
    EC_KEY_384,
    ED25519_KEY,
    ISSUER,
    NONCE,
    NOW,
    NULL,
    OTHER_RSA_KEY,
    RSA_KEY,
    SUB,
    AsymmetricKey,
    at_hash,
    good_claims,
    jwk,
    jwks,
    mint,
)

KEYS = parse_key_set(jwks(jwk(RSA_KEY), jwk(EC_KEY_384, "ec384"), jwk(ED25519_KEY, "ed")))
SKEW = 60.0
COMMON = {"issuer": ISSUER, "client_id": CLIENT_ID, "now": NOW, "skew": SKEW, "algorithms": ("RS256", "ES384")}
ACCESS_TOKEN_CLAIMS = {
    "ver": 1,
    "jti": "AT.1",
    "iss": ISSUER,
    "aud": "api://default",
    "sub": "ada@example.com",
    "iat": NOW,
    "exp": NOW + 3600,
    "cid": CLIENT_ID,
    "uid": SUB,
    "scp": ["openid"],
}


def validate(compact: str, **changes: Any) -> IdTokenClaims:
    arguments: dict[str, Any] = {**COMMON, "nonce": NONCE, "access_token": ACCESS_TOKEN, **changes}
    return validate_id_token(compact, KEYS, **arguments)


def validate_refreshed(compact: str, **changes: Any) -> IdTokenClaims:
    arguments: dict[str, Any] = {**COMMON, **changes}
    return validate_refreshed_id_token(compact, KEYS, **arguments)


def raw(**changes: str) -> bytes:
    """Valid claims with values that are JSON text."""
    claims = {name: json.dumps(value) for name, value in good_claims().items()} | changes
    return ("{" + ",".join(f'"{name}":{text}' for name, text in claims.items()) + "}").encode()


def test_a_token_as_okta_issues_it_is_valid() -> None:
    token = validate(mint(at_hash=at_hash(ACCESS_TOKEN), acr="urn:okta:loa:1fa:any", sid="s1", name="Ada"))
    assert (token.iss, token.sub, token.aud) == (ISSUER, SUB, (CLIENT_ID,))
    assert (token.exp, token.iat, token.nonce) == (NOW + 3600, NOW - 5, NONCE)
    assert (token.sid, token.acr, token.auth_time) == ("s1", "urn:okta:loa:1fa:any", NOW - 60)
    assert token.claims["name"] == "Ada"
    assert "Ada" not in repr(token)
    assert NONCE not in repr(token)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"aud": [CLIENT_ID]}, id="a list of one audience"),
        pytest.param({"azp": CLIENT_ID}, id="azp is us"),
        pytest.param({"sub": "s" * 255}, id="sub of 255 characters"),
        pytest.param({"exp": NOW + 300.5}, id="IT-040 a fraction in exp"),
        pytest.param({"exp": NOW - SKEW + 1}, id="expired by less than the skew"),
        pytest.param({"exp": 253_402_300_799}, id="exp in the last second of 9999"),
        pytest.param({"iat": NOW + SKEW}, id="issued ahead by the skew"),
        pytest.param({"iat": 0}, id="issued at the epoch"),
        pytest.param({"nbf": NOW + SKEW}, id="nbf ahead by the skew"),
        pytest.param({"auth_time": NOW + SKEW}, id="auth_time ahead by the skew"),
        pytest.param({"auth_time": None, "sid": "", "acr": 2}, id="optional claims absent or unusable"),
    ],
)
def test_a_valid_variant_is_accepted_at_a_sign_in_and_after_a_refresh(changes: dict[str, Any]) -> None:
    for token in (validate(mint(**changes)), validate_refreshed(mint(**changes))):
        assert token.sub == changes.get("sub", SUB)
        assert (token.sid, token.acr) == (None, None)


BAD_CLAIMS: dict[str, list[Any]] = {
    "iss": [None, NULL, "", "https://evil", ISSUER + "/", [ISSUER], ISSUER[1:-1], f"x{ISSUER}x"],
    "aud": [None, [], "other", {CLIENT_ID: 1}, [CLIENT_ID, 1], [[CLIENT_ID]], [CLIENT_ID, "other"]],
    "azp": ["other", NULL],
    "sub": [None, "", 7, "s" * 256, "s" * 10_000, "00u\n1", "00ü"],
    "exp": [None, NULL, NOW - SKEW, NOW - SKEW - 1, "1790009999", [1], {}, True, -1, 1e15, 253_402_300_800],
    "iat": [None, True, NOW + SKEW + 1, NOW + 365 * 86400],
    "nbf": [NULL, "soon", NOW + SKEW + 1],
    "auth_time": [NULL, "then", NOW + SKEW + 1],
    "nonce": [NULL, [NONCE]],
    "at_hash": [NULL, at_hash("another.access.token")],
}


@pytest.mark.case("IT-017", "IT-018", "IT-022", "IT-024", "IT-026", "IT-028", "IT-031", "IT-033", "IT-034", "IT-035")
@pytest.mark.case("IT-036", "IT-037", "IT-039", "IT-043")
@pytest.mark.parametrize(("claim", "value"), [(claim, value) for claim, bad in BAD_CLAIMS.items() for value in bad])
def test_a_bad_claim_is_refused_at_a_sign_in_and_after_a_refresh(claim: str, value: Any) -> None:
    for validated in (validate, validate_refreshed):
        with pytest.raises(IdTokenRefused, match=f"{claim}: ") as caught:
            validated(mint(**{claim: value}), access_token=ACCESS_TOKEN)
        assert not isinstance(caught.value, UnknownKey)


@pytest.mark.case("IT-026", "IT-027")
@pytest.mark.parametrize("azp", [CLIENT_ID, "other"])
def test_a_token_for_another_audience_too_is_refused_with_any_azp(azp: str) -> None:
    with pytest.raises(IdTokenRefused, match="aud: also"):
        validate(mint(aud=[CLIENT_ID, "other"], azp=azp))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        pytest.param(b'{"iss":"https://evil",' + raw()[1:], "payload is", id="IT-015 iss twice"),
        *[
            pytest.param(raw(exp=text), "payload is|exp: missing", id=f"IT-037 {text[:20]}")
            for text in ("1e400", "Infinity", "NaN", "1" + "0" * 400, "1" + "0" * 5000)
        ],
        pytest.param(json.dumps(ACCESS_TOKEN_CLAIMS).encode(), "aud: ", id="IT-057 an access token of the same issuer"),
    ],
)
def test_another_payload_is_refused(payload: bytes, reason: str) -> None:
    for validated in (validate, validate_refreshed):
        with pytest.raises(IdTokenRefused, match=reason):
            validated(mint(payload))


@pytest.mark.parametrize(
    ("compact", "reason"),
    [
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": "at+jwt"}), "typ", id="IT-054"),
        pytest.param(mint(header={"alg": "RS256", "kid": "k1", "typ": "logout+jwt"}), "typ", id="IT-055"),
        pytest.param(mint(key=OTHER_RSA_KEY), "signature", id="IT-063"),
        pytest.param("." * 16_385, "longer than", id="IT-068"),
        pytest.param("", "segments", id="empty"),
    ],
)
def test_a_token_that_is_no_id_token_of_the_provider_is_refused(compact: str, reason: str) -> None:
    for validated in (validate, validate_refreshed):
        with pytest.raises(IdTokenRefused, match=reason):
            validated(compact)


@pytest.mark.case("IT-049")
def test_an_unknown_kid_has_its_own_error_so_that_the_keys_can_be_fetched_once() -> None:
    for validated in (validate, validate_refreshed):
        with pytest.raises(UnknownKey) as caught:
            validated(mint(header={"alg": "RS256", "kid": "zzz"}))
        assert caught.value.kid == "zzz"


@pytest.mark.case("IT-034")
def test_without_skew_a_token_ends_at_exp() -> None:
    assert validate(mint(exp=NOW + 1), skew=0).sub == SUB
    with pytest.raises(IdTokenRefused, match="expired"):
        validate(mint(exp=NOW), skew=0)


def test_an_empty_issuer_never_matches_a_missing_one() -> None:
    with pytest.raises(IdTokenRefused, match="iss"):
        validate(mint(iss=""), issuer="")


def test_at_hash_uses_the_hash_of_the_signature_algorithm() -> None:
    def token(alg: str) -> str:
        header = {"alg": "ES384", "kid": "ec384"}
        return mint(header=header, key=EC_KEY_384, alg="ES384", at_hash=at_hash(ACCESS_TOKEN, alg))

    assert validate(token("ES384")).sub == SUB
    with pytest.raises(IdTokenRefused, match="at_hash"):
        validate(token("RS256"))
    assert validate(token("RS256"), access_token=None).sub == SUB


@pytest.mark.parametrize(
    ("alg", "kid", "key"),
    [
        *[("PS256", "k1", RSA_KEY), ("PS512", "k1", RSA_KEY)],
        *[("EdDSA", "ed", ED25519_KEY), ("Ed25519", "ed", ED25519_KEY)],
    ],
)
def test_at_hash_of_a_token_signed_by_pss_or_ed25519(alg: str, kid: str, key: AsymmetricKey) -> None:
    def token(hashed: str) -> str:
        header = {"alg": alg, "kid": kid}
        return mint(header=header, key=key, alg=alg, at_hash=at_hash(ACCESS_TOKEN, hashed))

    assert validate(token(alg), algorithms=(alg,)).sub == SUB
    with pytest.raises(IdTokenRefused, match="at_hash"):
        validate(token("PS384"), algorithms=(alg,))


def test_max_age_needs_an_authentication_that_is_recent_enough() -> None:
    for auth_time, max_age in ((NOW - 300, 300), (NOW - 360, 300), (NOW, 0)):
        assert validate(mint(auth_time=auth_time), max_age=max_age).sub == SUB
    for auth_time, max_age in ((NOW - 361, 300), (NOW - SKEW - 1, 0)):
        with pytest.raises(IdTokenRefused, match="older than max_age"):  # AZ-068
            validate(mint(auth_time=auth_time), max_age=max_age)
    with pytest.raises(IdTokenRefused, match="auth_time: missing"):
        validate(mint(auth_time=None), max_age=300)


@pytest.mark.parametrize(
    ("amr", "methods"),
    [(["pwd", "mfa"], ("pwd", "mfa")), ("mfa", ("mfa",)), (None, ()), (3, ()), (["pwd", 3, None], ("pwd",))],
)
def test_the_authentication_methods_are_texts(amr: object, methods: tuple[str, ...]) -> None:
    assert validate(mint(amr=amr)).amr == methods


def test_the_claims_of_a_validated_token_are_read_again_without_its_key() -> None:
    assert user_claims_of(claims_of_validated(mint(name="Ann", groups=["a"]))) == {"name", "groups"}
    for unreadable in ("", "id-token", "a.b.c", "a.bm9wZQ.c"):
        assert claims_of_validated(unreadable) == {}


def test_acr_must_be_one_of_the_requested_values() -> None:
    requested = ("urn:okta:loa:2fa:any", "phr")
    assert validate(mint(acr="phr"), acr_values=requested).acr == "phr"
    for acr in ("urn:okta:loa:1fa:any", None, ["phr"]):
        with pytest.raises(IdTokenRefused, match="acr"):
            validate(mint(acr=acr), acr_values=requested)


@pytest.mark.parametrize("nonce", [None, "of-another-sign-in", "", NONCE + "x"])
def test_a_sign_in_needs_its_own_nonce(nonce: str | None) -> None:
    with pytest.raises(IdTokenRefused, match="nonce: missing"):
        validate(mint(nonce=nonce))


@pytest.mark.case("IT-071")
def test_nonce_and_at_hash_are_compared_in_constant_time() -> None:
    compared: list[object] = []

    def record_comparison(_: FrameType, event: str, function: object) -> None:
        if event == "c_call" and function is hmac.compare_digest:
            compared.append(function)

    before = sys.getprofile()
    sys.setprofile(record_comparison)
    try:
        validate(mint(at_hash=at_hash(ACCESS_TOKEN)))
        validate_refreshed(mint(), nonce=NONCE)
    finally:
        sys.setprofile(before)
    assert len(compared) == 3


def test_a_refusal_gives_a_reason_without_any_part_of_the_token() -> None:
    for compact in (mint(sub="evil\nsub"), mint(nonce="evil"), "evil", mint(header={"alg": "evil", "kid": "evil"})):
        with pytest.raises(IdTokenRefused) as caught:
            validate(compact)
        assert caught.value.code == "sign_in_failed"
        assert caught.value.detail
        assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    ("claims", "expected", "reason"),
    [
        ({}, {}, None),
        ({}, {"nonce": NONCE, "auth_time": NOW - 60, "access_token": ACCESS_TOKEN}, None),
        ({"nonce": None, "auth_time": None}, {"nonce": NONCE, "auth_time": NOW - 60}, None),
        ({"nonce": "other"}, {"nonce": NONCE}, "nonce: of another"),
        ({"auth_time": NOW - 61}, {"auth_time": NOW - 60}, "auth_time: of another"),
        ({"at_hash": at_hash("other")}, {}, None),
    ],
)
def test_a_refreshed_token_may_omit_but_not_change_nonce_and_auth_time(
    claims: dict[str, Any], expected: dict[str, Any], reason: str | None
) -> None:
    if reason is None:
        assert validate_refreshed(mint(**claims), **expected).sub == SUB
    else:
        with pytest.raises(IdTokenRefused, match=reason):
            validate_refreshed(mint(**claims), **expected)


def test_a_refreshed_token_of_another_subject_is_returned_so_that_the_caller_ends_the_session() -> None:
    assert validate_refreshed(mint(sub="00u2another")).sub == "00u2another"
