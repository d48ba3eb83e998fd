"""Our own keys from PEM and JWK, and their public halves."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from bff.oidc.algorithms import algorithms_of
from bff.oidc.private_keys import new_private_jwk, read_private_key, read_private_keys
from bff.oidc.public_jwk import public_members, thumbprint
from tests.harness.minting import (
    EC_KEY,
    EC_KEY_384,
    EC_KEY_521,
    ED25519_KEY,
    RSA_KEY,
    WEAK_RSA_KEY,
    AsymmetricKey,
    b64,
    jwk,
    private_jwk,
)

KEYS = (RSA_KEY, EC_KEY, EC_KEY_384, EC_KEY_521, ED25519_KEY)


def pem(key: AsymmetricKey, encryption: KeySerializationEncryption | None = None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


@pytest.mark.parametrize("key", KEYS)
def test_a_key_from_pem_or_jwk_has_the_public_half_of_the_original(key: AsymmetricKey) -> None:
    for text in (pem(key), json.dumps(private_jwk(key, None)), "\n" + json.dumps(private_jwk(key, None))):
        own = read_private_key(text)
        assert public_members(own.key) == public_members(key.public_key()) == jwk(key, None)
        assert (own.kid, own.alg, own.use) == (None, None, None)
        assert "key=" not in repr(own)
    own = read_private_key(json.dumps(private_jwk(key, "k", use="sig", alg="any")))
    assert (own.kid, own.use, own.alg) == ("k", "sig", "any")


def test_a_key_set_has_its_keys_in_order() -> None:
    text = json.dumps({"keys": [private_jwk(EC_KEY, "a"), private_jwk(RSA_KEY, "b")]})
    assert [own.kid for own in read_private_keys(text)] == ["a", "b"]
    assert [own.kid for own in read_private_keys(json.dumps(private_jwk(EC_KEY, "one")))] == ["one"]


@pytest.mark.parametrize(
    "text",
    [
        *["", "canary", "{canary", "[]", '{"kty":"EC"}', '{"keys":[]}', '{"keys":{"canary":1}}', '{"keys":["canary"]}'],
        *[
            json.dumps(private_jwk(key) | {"kid": kid})
            for key, kid in ((EC_KEY, ""), (EC_KEY, 5), (RSA_KEY, "k" * 257))
        ],
        *[json.dumps(private_jwk(EC_KEY) | change) for change in ({"crv": "secp256k1"}, {"x": b64(b"canary")})],
        json.dumps({"kty": "OKP", "crv": "X25519", "x": b64(b"x" * 32), "d": b64(b"d" * 32)}),
        json.dumps(jwk(RSA_KEY)),  # the public half
        '{"kty":"EC","kty":"EC"}',
        pem(WEAK_RSA_KEY),
        pem(EC_KEY, BestAvailableEncryption(b"canary")),
        json.dumps({"keys": [private_jwk(EC_KEY)] * 400}),
        "\ud800",
    ],
)
def test_an_unusable_key_is_refused_without_a_part_of_it(text: str) -> None:
    for read in (read_private_key, read_private_keys):
        with pytest.raises(ValueError, match=r"key|JWK") as refused:
            read(text)
        assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("alg", "use", "kty"),
    [
        *[("RS256", "sig", "RSA"), ("PS512", "sig", "RSA"), ("ES384", "sig", "EC"), ("EdDSA", "sig", "OKP")],
        *[("RSA-OAEP-256", "enc", "RSA"), ("ECDH-ES", "enc", "EC"), ("ECDH-ES+A256KW", "enc", "EC")],
    ],
)
def test_a_new_key_can_be_read_and_says_what_it_is_for(alg: str, use: str, kty: str) -> None:
    member = new_private_jwk(alg)
    assert (member["alg"], member["use"], member["kty"]) == (alg, use, kty)
    own = read_private_key(json.dumps(member))
    members = public_members(own.key)
    assert member.items() >= members.items()
    assert (own.alg, own.use, own.kid) == (alg, use, thumbprint(members))
    assert new_private_jwk(alg)["kid"] != member["kid"]


@pytest.mark.parametrize("alg", ["", "none", "HS256", "RSA1_5", "A256KW"])
def test_no_key_is_made_for_another_algorithm(alg: str) -> None:
    with pytest.raises(ValueError, match="algorithm"):
        new_private_jwk(alg)


def test_a_thumbprint_is_that_of_the_specification() -> None:
    """RFC 7638 section 3.1, and RFC 8037 appendix A.3."""
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB"
        "ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8"
        "KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_"
        "xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    rsa = {"kty": "RSA", "n": modulus, "e": "AQAB"}
    assert thumbprint(rsa) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    okp = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    assert thumbprint(okp) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_usual_algorithm_of_a_key_comes_first() -> None:
    assert [algorithms_of(key)[0] for key in KEYS] == ["RS256", "ES256", "ES384", "ES512", "EdDSA"]
