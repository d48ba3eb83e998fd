"""DPoP proofs (RFC 9449), verified with another library."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jose import jws

from bff.oidc.dpop import dpop_proof, new_dpop_key, proof_algorithm, read_nonce

URL = "https://api.example/v1/orders"
KEY = new_dpop_key()


def proof(**changes: Any) -> str:
    arguments: dict[str, Any] = {"method": "GET", "url": URL, "now": 1_700_000_000.9, "jti": "j1", **changes}
    return dpop_proof(KEY, **arguments)


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def verified(compact: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header = jws.get_unverified_header(compact)
    return header, json.loads(jws.verify(compact, header["jwk"], ["ES256"]))


def test_a_proof_names_the_request_and_is_signed_by_the_public_key_in_it() -> None:
    header, claims = verified(proof())
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}  # never the private half
    assert claims == {"jti": "j1", "htm": "GET", "htu": URL, "iat": 1_700_000_000}


def test_a_proof_beside_an_access_token_carries_its_hash_and_the_nonce() -> None:
    _, claims = verified(proof(access_token="at", nonce="n-1"))
    assert claims["ath"] == base64.urlsafe_b64encode(hashlib.sha256(b"at").digest()).rstrip(b"=").decode()
    assert claims["nonce"] == "n-1"


@pytest.mark.parametrize("rest", ["?a=1", "#part", "?a=1#part", "?a=#b?c", "#a?b"])
def test_htu_has_neither_query_nor_fragment(rest: str) -> None:
    assert verified(proof(url=URL + rest))[1]["htu"] == URL


def test_signatures_keys_and_coordinates_have_a_fixed_length() -> None:
    """A number with leading zeros comes about once in 256."""
    assert {len(proof(jti=str(n)).rpartition(".")[2]) for n in range(300)} == {86}
    keys = {new_dpop_key() for _ in range(300)}
    assert len(keys) == 300
    headers = [jws.get_unverified_header(dpop_proof(key, method="GET", url=URL, now=0, jti="j")) for key in keys]
    assert {len(header["jwk"][name]) for header in headers for name in ("x", "y")} == {43}


@pytest.mark.parametrize(
    ("offered", "alg"),
    [
        (("PS256", "EdDSA", "ES256"), "ES256"),
        (("PS256", "RS256", "Ed25519", "EdDSA"), "EdDSA"),
        (("PS512", "Ed25519"), "Ed25519"),
        (("RS256", "PS512", "PS256"), "PS256"),
    ],
)
def test_the_algorithm_is_the_first_of_ours_that_the_provider_verifies(offered: tuple[str, ...], alg: str) -> None:
    assert proof_algorithm(offered) == alg
    key = new_dpop_key(alg)
    compact = dpop_proof(key, method="GET", url=URL, now=1_700_000_000, jti="j1")
    signed, _, signature = compact.rpartition(".")
    header = json.loads(decoded(compact.split(".")[0]))
    assert (header["typ"], header["alg"]) == ("dpop+jwt", alg)
    assert not {"d", "p", "q"} & header["jwk"].keys()
    # Any further proof of this key has the same public key, to which the tokens are bound.
    again = dpop_proof(key, method="POST", url=URL, now=1_700_000_001, jti="j2")
    assert json.loads(decoded(again.split(".")[0])) == header
    match header["jwk"]["kty"]:
        case "OKP":
            assert header["jwk"].keys() == {"kty", "crv", "x"}
            Ed25519PublicKey.from_public_bytes(decoded(header["jwk"]["x"])).verify(decoded(signature), signed.encode())
        case "RSA":
            n, e = (int.from_bytes(decoded(header["jwk"][name])) for name in ("n", "e"))
            scheme = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
            rsa.RSAPublicNumbers(e, n).public_key().verify(decoded(signature), signed.encode(), scheme, hashes.SHA256())
        case _:
            assert jws.verify(compact, header["jwk"], ["ES256"])


@pytest.mark.parametrize("offered", [(), ("RS256", "ES384"), ("HS256", "none")])
def test_no_other_algorithm_is_used(offered: tuple[str, ...]) -> None:
    assert proof_algorithm(offered) is None
    for alg in offered:
        with pytest.raises(ValueError, match="not an algorithm"):
            new_dpop_key(alg)


MALFORMED = (
    "",
    "AAAA",
    "A" * 43,
    "not base64!",
    "A" * 44,
    ":" + "A" * 43,
    "EdDSA:AAAA",
    "PS256:AAAA",
    "none:" + "A" * 43,
)


@pytest.mark.parametrize(
    "key",
    [
        *MALFORMED,
        pytest.param(KEY + ":", id="key as an algorithm"),
        pytest.param("PS256:" + KEY, id="EC key"),
        "EdDSA:",
    ],
)
def test_a_malformed_key_is_refused(key: str) -> None:
    with pytest.raises(ValueError):
        dpop_proof(key, method="GET", url=URL, now=0, jti="j")


def test_only_a_nonce_of_the_characters_of_the_rfc_is_used() -> None:
    for malformed in (None, "", "a b", 'a"b', "a\\b", "ä", "a\r\nb", "a\n", "n" * 1025):
        assert read_nonce(malformed) is None, malformed
    for value in ("eyJ7S_zG.eyJH0-Z.HX4w-7v", "!#[]~", "n" * 1024):
        assert read_nonce(value) == value
