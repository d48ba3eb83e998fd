"""Key sets as providers publish them, and malformed or dangerous ones."""

import json
from typing import Any

import pytest

from bff.oidc.jwks import KeyNotFound, KeySet, KeySetRefused, KeyUnusable, parse_key_set
from tests.harness.minting import (
    EC_KEY,
    EC_KEY_384,
    EC_KEY_521,
    ED25519_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    WEAK_RSA_KEY,
    b64,
    b64_number,
    jwk,
    jwks,
    roca_modulus,
)

RSA_PRIVATE = RSA_KEY.private_numbers()
EC_POINT = EC_KEY.public_key().public_numbers()
SYMMETRIC = {"kty": "oct", "kid": "k1", "k": b64(b"s" * 32)}
X25519 = {"kty": "OKP", "crv": "X25519", "kid": "x", "x": b64(b"x" * 32)}
RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def ed25519(y: int, **more: Any) -> dict[str, Any]:
    """An Ed25519 key of the point with this y."""
    return {"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": b64(y.to_bytes(32, "little")), **more}


WITHOUT_KEY = {  # reason: documents
    "no usable": [b'{"keys":[]}', b'{"keys":[1,null,"x",[],{}]}', jwks(SYMMETRIC)],
    "no list": [b'{"keys":null}', b'{"keys":{}}', b"{}"],
    "document is": [b"[]", b"", b"<html>", b'{"keys":[],"keys":[]}'],
    "more than 100": [jwks(*[jwk(RSA_KEY)] * 101)],
    "longer than": [b'{"keys":[]}' + b" " * (1 << 20)],
}


@pytest.mark.case("JK-012", "JK-022", "JK-023")
@pytest.mark.parametrize("reason", WITHOUT_KEY)
def test_a_set_without_a_usable_key_is_refused(reason: str) -> None:
    for document in WITHOUT_KEY[reason]:
        with pytest.raises(KeySetRefused, match=reason) as caught:
            parse_key_set(document)
        assert caught.value.code == "provider_keys_invalid"
        assert caught.value.private == (document == jwks(SYMMETRIC))


@pytest.mark.case("JK-014")
def test_keys_of_other_types_and_unknown_members_are_skipped() -> None:
    members = [X25519, jwk(EC_KEY, "ec"), {**jwk(RSA_KEY, x5t="abc"), "okta-version": 7}]
    keys = parse_key_set(json.dumps({"keys": members, "more": [1]}).encode())
    assert [key.kid for key in keys.keys] == ["ec", "k1"]
    assert keys.choose(None, "RS256").public_key == RSA_KEY.public_key()
    assert keys.choose("ec", "ES256").public_key == EC_KEY.public_key()
    assert len(parse_key_set(jwks(*[jwk(RSA_KEY, f"k{n}") for n in range(100)])).keys) == 100


@pytest.mark.case("JK-017")
@pytest.mark.parametrize(
    ("member", "algorithms"),
    [
        (jwk(RSA_KEY), RSA_ALGORITHMS),
        (jwk(RSA_KEY, alg="RS512", use="sig", key_ops=["verify", "sign"]), {"RS512"}),
        (jwk(RSA_KEY, "k" * 256), RSA_ALGORITHMS),
        ({**jwk(RSA_KEY), "n": b64_number((1 << 2047) + 1), "e": b64_number(3)}, RSA_ALGORITHMS),
        ({**jwk(RSA_KEY), "n": b64_number((1 << 8191) + 1)}, RSA_ALGORITHMS),
        (jwk(RSA_KEY, alg="PS256"), {"PS256"}),
        (jwk(ED25519_KEY), {"EdDSA", "Ed25519"}),
        (jwk(ED25519_KEY, alg="EdDSA"), {"EdDSA", "Ed25519"}),
        (jwk(ED25519_KEY, alg="Ed25519"), {"EdDSA", "Ed25519"}),
        (jwk(EC_KEY, None), {"ES256"}),
        (jwk(EC_KEY_384), {"ES384"}),
        (jwk(EC_KEY_521), {"ES512"}),
    ],
)
def test_a_key_is_for_the_algorithms_of_its_type_and_alg(member: dict[str, Any], algorithms: set[str]) -> None:
    (key,) = parse_key_set(jwks(member)).keys
    assert (key.kid, key.algorithms) == (member.get("kid"), algorithms)


@pytest.mark.case("JK-018")
def test_two_keys_of_one_kid_are_refused_in_either_order_and_the_same_key_twice_is_one() -> None:
    for members in ([jwk(RSA_KEY), jwk(OTHER_RSA_KEY)], [jwk(OTHER_RSA_KEY), jwk(RSA_KEY)]):
        with pytest.raises(KeyUnusable):
            parse_key_set(jwks(*members)).choose("k1", "RS256")
    # RFC 7517 section 4.5: one kid for equivalent keys of different types is not ambiguous.
    for same in (jwks(jwk(RSA_KEY), jwk(RSA_KEY)), jwks(jwk(EC_KEY, "k1"), jwk(RSA_KEY))):
        assert parse_key_set(same).choose("k1", "RS256").public_key == RSA_KEY.public_key()


MODULI = (b64_number((1 << 8192) + 1), b64_number(RSA_PRIVATE.public_numbers.n + 1), jwk(RSA_KEY)["n"] + "==", 5)
FIELD = 2**255 - 19
ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL_ORDER = (0, 1, FIELD - 1, ORDER_8, FIELD - ORDER_8)
SKIPPED = [
    jwk(WEAK_RSA_KEY),
    {"kty": "RSA", "kid": "k1"},
    {**jwk(RSA_KEY), "kty": ["RSA"]},
    *[{**jwk(RSA_KEY), "n": modulus} for modulus in MODULI],
    *[{**jwk(RSA_KEY), "e": b64_number(exponent)} for exponent in (1, 65536, (1 << 32) + 1)],
    *[{**jwk(RSA_KEY), "kid": kid} for kid in (1, "", "k" * 257)],
    *[jwk(RSA_KEY, use=use) for use in ("enc", None)],
    *[jwk(RSA_KEY, key_ops=operations) for operations in (["sign"], "verify")],
    *[jwk(RSA_KEY, alg=alg) for alg in ("RSA-OAEP-256", "HS256", "ES256", 1)],
    {**jwk(RSA_KEY), "n": b64_number(roca_modulus())},
    *[ed25519(y) for y in SMALL_ORDER],
    *[ed25519(FIELD + y) for y in (0, 1, 3)],  # not canonical
    *[jwk(ED25519_KEY, **wrong) for wrong in ({"crv": "Ed448"}, {"x": "AAAA"}, {"x": 5}, {"alg": "ES256"})],
    *[{**jwk(EC_KEY), "crv": curve} for curve in ("P-384", "secp256k1", ["P-256"])],
    {**jwk(EC_KEY), "x": b64_number(EC_POINT.x, 33)},
    {**jwk(EC_KEY), "y": b64_number(EC_POINT.y, 33)},
    {**jwk(EC_KEY), "y": b64_number(EC_POINT.y ^ 1, 32)},  # not on the curve
]


@pytest.mark.parametrize("member", SKIPPED)
def test_a_key_that_must_not_be_used_is_skipped(member: dict[str, Any]) -> None:
    keys = parse_key_set(jwks(member, jwk(OTHER_RSA_KEY, "good")))
    assert [key.kid for key in keys.keys] == ["good"]


def test_the_key_is_chosen_by_kid_and_algorithm() -> None:
    keys = parse_key_set(jwks(jwk(RSA_KEY, "a"), jwk(OTHER_RSA_KEY, "b", use="sig"), jwk(EC_KEY_384, "c")))
    assert keys.choose("b", "RS256").kid == "b"
    assert keys.choose(None, "ES384").kid == "c"
    assert (keys.has("a"), keys.has("z")) == (True, False)
    with pytest.raises(KeyNotFound) as caught:
        keys.choose("z", "RS256")
    assert caught.value.kid == "z"
    for kid, alg in (("c", "ES256"), ("a", "ES384"), (None, "RS256"), (None, "ES256")):
        with pytest.raises(KeyUnusable):
            keys.choose(kid, alg)
    with pytest.raises(KeyUnusable):
        KeySet(()).choose(None, "RS256")


@pytest.mark.case("JK-022")
@pytest.mark.parametrize("part", ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"])
def test_a_published_private_or_symmetric_key_is_counted_and_skipped(part: str) -> None:
    leaked = {**jwk(RSA_KEY, "leaked"), part: b64_number(RSA_PRIVATE.d)}
    keys = parse_key_set(jwks(leaked, SYMMETRIC, jwk(RSA_KEY, "sound")))
    assert keys.private == 2
    assert [key.kid for key in keys.keys] == ["sound"]
    assert "public_key" not in repr(keys)
    with pytest.raises(KeySetRefused) as refusal:
        parse_key_set(jwks(leaked))
    assert refusal.value.private == 1
    assert parse_key_set(jwks(jwk(RSA_KEY, "sound"))).private == 0
