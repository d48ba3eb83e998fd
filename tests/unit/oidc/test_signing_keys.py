"""The ring of keys that identity assertions are signed with."""

import json
from typing import Any

import pytest

from bff.oidc.private_keys import new_private_jwk
from bff.oidc.signing_keys import MAX_KEYS, parse_signing_keys
from tests.harness.minting import EC_KEY, EC_KEY_384, ED25519_KEY, RSA_KEY, jwk, private_jwk


def ring(*members: dict[str, Any]) -> str:
    return json.dumps({"keys": members})


def test_the_first_key_signs_and_all_are_published() -> None:
    keys = parse_signing_keys(ring(private_jwk(EC_KEY, "new"), private_jwk(RSA_KEY, "old"), private_jwk(ED25519_KEY)))
    assert (keys.signer.kid, keys.signer.alg) == ("new", "ES256")
    assert list(keys.published()) == [
        {**jwk(EC_KEY, "new"), "use": "sig", "alg": "ES256"},
        {**jwk(RSA_KEY, "old"), "use": "sig", "alg": "RS256"},
        {**jwk(ED25519_KEY), "use": "sig", "alg": "EdDSA"},
    ]
    assert private_jwk(EC_KEY)["d"] not in repr(keys)


@pytest.mark.parametrize("alg", ["ES256", "ES384", "EdDSA", "RS256", "PS256"])
def test_the_algorithm_is_that_of_the_jwk(alg: str) -> None:
    member = new_private_jwk(alg)
    signer = parse_signing_keys(json.dumps(member)).signer
    assert (signer.alg, signer.kid) == (alg, member["kid"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("canary", "neither a valid PEM"),
        (ring(), "no list of keys"),
        (ring(private_jwk(EC_KEY), private_jwk(EC_KEY_384)), "one kid"),
        (ring(*(private_jwk(EC_KEY, str(number)) for number in range(MAX_KEYS + 1))), "more than"),
        (json.dumps(private_jwk(EC_KEY, use="enc")), "another purpose"),
        (json.dumps(private_jwk(EC_KEY, alg="ECDH-ES")), "another purpose"),
        (json.dumps(private_jwk(RSA_KEY, alg="ES256")), "another purpose"),
    ],
)
def test_what_is_no_signing_key_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse_signing_keys(text)
    assert "canary" not in str(refused.value)
