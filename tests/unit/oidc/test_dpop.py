"""DPoP proofs (RFC 9449), verified with an independent library."""

import base64
import hashlib
import json
from typing import Any

import pytest
from jose import jws as jose_jws

from bff.oidc.challenge import asks_for_nonce
from bff.oidc.dpop import dpop_proof, new_dpop_key, read_nonce
from bff.oidc.dpop_nonces import DpopNonces

URL = "https://api.example/v1/orders"
KEY = new_dpop_key()


def proof(**changes: Any) -> str:
    arguments: dict[str, Any] = {"method": "GET", "url": URL, "now": 1_700_000_000.9, "jti": "j1", **changes}
    return dpop_proof(KEY, **arguments)


def read(compact: str) -> tuple[dict[str, Any], dict[str, Any]]:
    header = jose_jws.get_unverified_header(compact)
    return header, json.loads(jose_jws.verify(compact, header["jwk"], ["ES256"]))


def test_a_proof_says_the_request_and_is_signed_by_the_key_in_it() -> None:
    header, claims = read(proof())
    assert (header["typ"], header["alg"]) == ("dpop+jwt", "ES256")
    assert header["jwk"].keys() == {"kty", "crv", "x", "y"}, "never the private half"
    assert claims == {"jti": "j1", "htm": "GET", "htu": URL, "iat": 1_700_000_000}


def test_beside_an_access_token_it_names_the_tokens_hash() -> None:
    _, claims = read(proof(access_token="at", nonce="n-1"))
    assert claims["ath"] == base64.urlsafe_b64encode(hashlib.sha256(b"at").digest()).rstrip(b"=").decode()
    assert claims["nonce"] == "n-1"


@pytest.mark.parametrize("more", ["?a=1", "#part", "?a=1#part", "?a=#b?c"])
def test_the_url_is_named_without_query_and_fragment(more: str) -> None:
    assert read(proof(url=URL + more))[1]["htu"] == URL


def test_signatures_are_64_octets_whatever_the_numbers_in_them() -> None:
    lengths = {len(proof(jti=str(n)).rpartition(".")[2]) for n in range(300)}
    assert lengths == {86}, "a small r or s has leading zeros"


def test_each_key_is_another_one() -> None:
    assert len({new_dpop_key() for _ in range(20)}) == 20


@pytest.mark.parametrize("key", ["", "AAAA", "A" * 43, "not base64!", "A" * 44])
def test_what_is_no_key_signs_nothing(key: str) -> None:
    with pytest.raises(ValueError):
        dpop_proof(key, method="GET", url=URL, now=0, jti="j")


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("eyJ7S_zG.eyJH0-Z.HX4w-7v", True),
        ("n" * 1024, True),
        (None, False),
        ("", False),
        ("a b", False),
        ('a"b', False),
        ("a\\b", False),
        ("ä", False),
        ("a\r\nb", False),
        ("n" * 1025, False),
    ],
)
def test_a_nonce_is_taken_only_as_the_rfc_spells_one(value: str | None, good: bool) -> None:
    assert read_nonce(value) == (value if good else None)


def test_the_latest_nonce_of_each_origin_is_remembered() -> None:
    nonces = DpopNonces()
    assert nonces.of(URL) is None
    assert nonces.remember(URL, "one")
    assert not nonces.remember(URL, "bad nonce")
    assert nonces.of("https://api.example/another?x#y") == "one"
    for other in ("https://api.example:8443/", "http://api.example/", "https://other.example"):
        assert nonces.of(other) is None
    assert nonces.remember("https://api.example", "two")
    assert read(nonces.proof(KEY, "GET", URL, 0))[1]["nonce"] == "two"
    assert read(nonces.proof(KEY, "GET", URL, 0))[1]["jti"] != read(nonces.proof(KEY, "GET", URL, 0))[1]["jti"]


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ([b'DPoP error="use_dpop_nonce", error_description="x"'], True),
        ([b'Bearer realm="a", dpop algs="ES256", error=use_dpop_nonce'], True),
        ([b"Basic", b'DPoP error="use_dpop_nonce"'], True),
        ([b'Bearer error="use_dpop_nonce"'], False),
        ([b'DPoP error="invalid_token", error_description="use_dpop_nonce"'], False),
        ([b'DPoP error="use_dpop_nonce"' + b" " * 5000], False),
        ([], False),
    ],
)
def test_a_challenge_for_a_nonce_is_recognised(values: list[bytes], asked: bool) -> None:
    assert asks_for_nonce(values) == asked
