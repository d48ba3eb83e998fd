"""The vectors of Project Wycheproof for JWS, JWE and JWK: none is accepted wrongly, and what we support is accepted.

A vector counts as accepted when its signature or its encryption was: most payloads are not the JSON objects or tokens
that we need, and are refused after that.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from bff.base64url import decode_base64url
from bff.oidc.algorithms import ASYMMETRIC
from bff.oidc.decryption_keys import parse_decryption_keys
from bff.oidc.jwe import ALGORITHMS, ENCRYPTIONS, decrypt
from bff.oidc.jwks import KeySetRefused, parse_key_set
from bff.oidc.jws import JwsRefused, verify
from tests.harness.places import ROOT

TYPES = (None, "jwt")


@dataclass(frozen=True)
class Vector:
    number: int
    compact: str
    valid: bool
    keys: tuple[dict[str, Any], ...]
    plaintext: bytes | None = None

    @property
    def header(self) -> dict[str, Any]:
        """Empty if it cannot be parsed."""
        try:
            header = json.loads(decode_base64url(self.compact.partition(".")[0]) or b"{}")
        except ValueError:
            return {}
        return header if isinstance(header, dict) else {}


def vectors(name: str, member: str) -> Iterator[Vector]:
    document = json.loads((ROOT / "tests/data/wycheproof" / f"{name}_test.json").read_text("utf-8"))
    for group in document["testGroups"]:
        key = group["private"] if member == "jwe" else group.get("public", group.get("private"))
        for test in group["tests"]:
            plaintext = bytes.fromhex(test["pt"]) if "pt" in test else None
            keys = tuple(key.get("keys", [key]))
            yield Vector(test["tcId"], test[member], test["result"] == "valid", keys, plaintext)


def is_verified(vector: Vector) -> bool:
    try:
        keys = parse_key_set(json.dumps({"keys": vector.keys}).encode())
        verify(vector.compact, keys, algorithms=ASYMMETRIC, types=TYPES)
    except KeySetRefused:
        return False
    except JwsRefused as refused:
        return str(refused).startswith("its payload is")
    return True


ring = cache(parse_decryption_keys)  # reading an RSA key without its primes takes half a second


def decrypted(vector: Vector) -> bytes | None:
    if all(key.get("alg") not in ALGORITHMS for key in vector.keys):
        return None  # `parse_decryption_keys` refuses them, after reading each of them for long
    try:
        return decrypt(vector.compact, ring(json.dumps({"keys": vector.keys})), types=TYPES)
    except (ValueError, JwsRefused):
        return None


@pytest.mark.parametrize(("name", "total", "accepted"), [("json_web_signature", 401, 26), ("json_web_key", 26, 1)])
def test_no_signature_is_accepted_wrongly_and_those_of_our_algorithms_are(name: str, total: int, accepted: int) -> None:
    run = list(vectors(name, "jws"))
    assert len(run) == total
    assert [vector.number for vector in run if not vector.valid and is_verified(vector)] == []
    refused = {vector.number for vector in run if vector.valid and not is_verified(vector)}
    unsupported = {
        vector.number
        for vector in run
        if vector.header.get("alg") not in ASYMMETRIC  # HMAC
        or not vector.compact.split(".")[1]  # an empty payload is never a token
        # A key says which algorithm it is for: these say another one, or ES521, which does not exist.
        or any(key["alg"] != vector.header["alg"] for key in vector.keys if "alg" in key)
    }
    assert refused <= unsupported
    assert sum(vector.valid and vector.number not in refused for vector in run) == accepted


def test_nothing_is_decrypted_wrongly_and_what_is_encrypted_by_our_algorithms_is() -> None:
    run = list(vectors("json_web_encryption", "jwe"))
    assert len(run) == 139
    opened = {vector.number: decrypted(vector) for vector in run}
    assert [vector.number for vector in run if not vector.valid and opened[vector.number] is not None] == []
    supported = [
        vector
        for vector in run
        if vector.valid and vector.header["alg"] in ALGORITHMS and vector.header["enc"] in ENCRYPTIONS
    ]
    assert {(vector.header["alg"], vector.header["enc"]) for vector in supported} >= {
        (alg, enc) for alg in ALGORITHMS for enc in ENCRYPTIONS
    }
    assert [vector.number for vector in supported if opened[vector.number] != vector.plaintext] == []
