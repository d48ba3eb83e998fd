"""Key sets as providers publish them, and malformed or dangerous ones."""

import json
from typing import Any

import pytest

from bff.base64url import require_base64url
from bff.oidc.id_token import IdTokenRefused, validate_id_token
from bff.oidc.jwks import KeyNotFound, KeySet, KeySetRefused, KeyUnusable, parse_key_set
from tests.harness.minting import (
    CLIENT_ID,
    EC_KEY,
    EC_KEY_384,
    ISSUER,
    NONCE,
    NOW,
    OTHER_RSA_KEY,
    RSA_KEY,
    WEAK_RSA_KEY,
    b64,
    b64_number,
    jwk,
    jwks,
    mint,
)


def believed(compact: str, keys: KeySet) -> bool:
    try:
        validate_id_token(
            compact,
            keys,
            issuer=ISSUER,
            client_id=CLIENT_ID,
            nonce=NONCE,
            now=NOW,
            skew=60,
            algorithms=("RS256", "ES256"),
        )
    except IdTokenRefused:
        return False
    return True


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'{"keys":[]}', id="JK-012 no key"),
        pytest.param(b'{"keys":null}', id="JK-012 null"),
        pytest.param(b'{"keys":{}}', id="JK-012 an object"),
        pytest.param(b"{}", id="JK-012 nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"", id="no bytes"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b'{"keys":[],"keys":[]}', id="keys twice"),
        pytest.param(b'{"keys":[1,null,"x",[],{}]}', id="members that are no keys"),
        pytest.param(jwks(*[jwk(RSA_KEY, f"k{n}") for n in range(10_000)]), id="JK-023 10,000 keys"),
        pytest.param(jwks(*[jwk(RSA_KEY, f"k{n}") for n in range(101)]), id="JK-023 101 keys"),
        pytest.param(jwks(jwk(RSA_KEY, x5c=["A" * 10_000_000])), id="JK-023 10 MB"),
        pytest.param(jwks({"kty": "oct", "kid": "k1", "k": b64(b"s" * 32)}), id="JK-022 oct alone"),
    ],
)
def test_a_set_without_a_usable_key_is_refused_as_such(document: bytes) -> None:
    with pytest.raises(KeySetRefused) as caught:
        parse_key_set(document)
    assert caught.value.code == "provider_keys_invalid"


@pytest.mark.parametrize("case", ["JK-014"])
def test_keys_of_other_types_in_front_do_no_harm(case: str) -> None:
    okp = {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(b"x" * 32)}
    keys = parse_key_set(jwks(okp, jwk(EC_KEY, "ec"), jwk(RSA_KEY)))
    assert believed(mint(), keys)
    assert believed(mint(header={"alg": "RS256"}), keys)
    assert believed(mint(header={"alg": "ES256", "kid": "ec"}, key=EC_KEY, alg="ES256"), keys)


@pytest.mark.parametrize("case", ["JK-017"])
def test_a_key_for_another_algorithm_is_not_used(case: str) -> None:
    assert believed(mint(), parse_key_set(jwks(jwk(RSA_KEY, alg="RS256"))))
    assert not believed(mint(), parse_key_set(jwks(jwk(RSA_KEY, alg="RS512"))))


@pytest.mark.parametrize("case", ["JK-018"])
def test_two_keys_of_one_kid_are_refused_in_either_order_and_the_same_key_twice_is_one(case: str) -> None:
    for members in ([jwk(RSA_KEY), jwk(OTHER_RSA_KEY)], [jwk(OTHER_RSA_KEY), jwk(RSA_KEY)]):
        keys = parse_key_set(jwks(*members))
        assert not believed(mint(), keys)
        with pytest.raises(KeyUnusable):
            keys.choose("k1", "RS256")
    assert believed(mint(), parse_key_set(jwks(jwk(RSA_KEY), jwk(RSA_KEY))))
    # RFC 7517 section 4.5: one kid for equivalent keys of different types leaves no doubt.
    assert believed(mint(), parse_key_set(jwks(jwk(EC_KEY, "k1"), jwk(RSA_KEY))))


@pytest.mark.parametrize("case", ["JK-022"])
def test_a_symmetric_key_in_the_set_is_no_key(case: str) -> None:
    secret = b"s" * 32
    keys = parse_key_set(jwks({"kty": "oct", "kid": "k2", "k": b64(secret)}, jwk(RSA_KEY)))
    assert len(keys.keys) == 1
    assert not believed(mint(header={"alg": "HS256", "kid": "k2"}, key=secret, alg="HS256"), keys)


RSA_PRIVATE = RSA_KEY.private_numbers()
EC_POINT = EC_KEY.public_key().public_numbers()


@pytest.mark.parametrize(
    "member",
    [
        pytest.param(jwk(WEAK_RSA_KEY), id="RSA of 1024 bits"),
        pytest.param({**jwk(RSA_KEY), "n": b64_number((1 << 16384) + 1)}, id="RSA of 16,385 bits"),
        pytest.param({**jwk(RSA_KEY), "e": b64_number(1)}, id="exponent 1"),
        pytest.param({**jwk(RSA_KEY), "e": b64_number(65536)}, id="even exponent"),
        pytest.param({**jwk(RSA_KEY), "n": jwk(RSA_KEY)["n"] + "=="}, id="padded modulus"),
        pytest.param({**jwk(RSA_KEY), "n": 5}, id="modulus is a number"),
        pytest.param({"kty": "RSA", "kid": "k1"}, id="no modulus"),
        pytest.param({**jwk(RSA_KEY), "use": "enc"}, id="for encryption"),
        pytest.param({**jwk(RSA_KEY), "use": None}, id="use null"),
        pytest.param({**jwk(RSA_KEY), "key_ops": ["sign"]}, id="key_ops without verify"),
        pytest.param({**jwk(RSA_KEY), "key_ops": "verify"}, id="key_ops is a string"),
        pytest.param({**jwk(RSA_KEY), "alg": "PS256"}, id="an algorithm we do not have"),
        pytest.param({**jwk(RSA_KEY), "alg": "ES256"}, id="an algorithm of another type"),
        pytest.param({**jwk(RSA_KEY), "alg": 1}, id="alg is a number"),
        pytest.param({**jwk(RSA_KEY), "kid": 1}, id="kid is a number"),
        pytest.param({**jwk(RSA_KEY), "kid": "k" * 257}, id="kid of 257 characters"),
        pytest.param({**jwk(RSA_KEY), "d": b64_number(RSA_PRIVATE.d)}, id="a private key in public"),
        pytest.param({**jwk(EC_KEY), "y": b64_number(EC_POINT.y ^ 1, 32)}, id="a point off the curve"),
        pytest.param({**jwk(EC_KEY), "x": b64_number(EC_POINT.x, 33)}, id="a coordinate too long"),
        pytest.param({**jwk(EC_KEY), "crv": "P-384"}, id="another curve"),
        pytest.param({**jwk(EC_KEY), "crv": "secp256k1"}, id="a curve we do not have"),
        pytest.param({**jwk(EC_KEY), "crv": ["P-256"]}, id="crv is a list"),
        pytest.param({**jwk(RSA_KEY), "kty": ["RSA"]}, id="kty is a list"),
    ],
)
def test_a_key_that_must_not_be_used_is_left_out(member: dict[str, Any]) -> None:
    keys = parse_key_set(jwks(member, jwk(OTHER_RSA_KEY, "good")))
    assert [key.kid for key in keys.keys] == ["good"]


def test_the_key_is_chosen_by_kid_and_algorithm() -> None:
    keys = parse_key_set(jwks(jwk(RSA_KEY, "a"), jwk(OTHER_RSA_KEY, "b", use="sig"), jwk(EC_KEY_384, "c")))
    assert keys.choose("b", "RS256").kid == "b"
    assert keys.choose(None, "ES384").kid == "c"
    assert keys.has("a")
    assert not keys.has("z")
    with pytest.raises(KeyNotFound):
        keys.choose("z", "RS256")
    for kid, alg in (("c", "ES256"), ("a", "ES384"), (None, "RS256"), (None, "ES256")):
        with pytest.raises(KeyUnusable):
            keys.choose(kid, alg)


def test_a_key_is_not_spelled_out_in_its_repr() -> None:
    assert "public_key" not in repr(parse_key_set(jwks(jwk(RSA_KEY))))


@pytest.mark.parametrize("text", ["A", "AB=", "A+B/", "AB\n", " AB", "AAB", "é", "AB==", "QQ.."])
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(ValueError):
        require_base64url(text)


def test_a_member_may_have_unknown_fields() -> None:
    member = {**jwk(RSA_KEY, x5t="abc"), "okta-version": 7}
    assert believed(mint(), parse_key_set(json.dumps({"keys": [member], "more": [1]}).encode()))


@pytest.mark.parametrize("part", ["d", "p", "q", "dp", "dq", "qi", "oth"])
def test_a_published_private_key_is_counted_and_left_out_with_all_its_parts(part: str) -> None:
    leaked = {**jwk(RSA_KEY, "leaked"), part: b64_number(RSA_PRIVATE.d)}
    keys = parse_key_set(jwks(leaked, {"kty": "oct", "k": b64(b"s" * 32)}, jwk(RSA_KEY, "sound")))
    assert keys.private == 2
    assert [key.kid for key in keys.keys] == ["sound"]
    assert str(RSA_PRIVATE.d) not in repr(keys)
    with pytest.raises(KeySetRefused) as refusal:
        parse_key_set(jwks(leaked))
    assert refusal.value.private == 1
    assert parse_key_set(jwks(jwk(RSA_KEY, "sound"))).private == 0
