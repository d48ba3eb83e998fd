"""Our own keys and their algorithms against the provider's metadata."""

import json
from typing import Any

import pytest

from bff.admin.doctor.own_keys import check_own_keys
from bff.config.settings import load_settings
from tests.harness.minting import EC_KEY, RSA_KEY, private_jwk
from tests.harness.settings import with_changes

ALG, ENC = "id_token_encryption_alg_values_supported", "id_token_encryption_enc_values_supported"
ASSERTIONS = "token_endpoint_auth_signing_alg_values_supported"
RING = {"decryption_keys": json.dumps(private_jwk(EC_KEY))}
PS256 = {
    "client_auth": "private_key_jwt",
    "client_private_key": json.dumps(private_jwk(RSA_KEY)),
    "client_key_algorithm": "PS256",
    "client_secret": None,
}


@pytest.mark.parametrize(
    ("changes", "fields", "expected"),
    [
        ({}, {ALG: ["RSA-OAEP-256"], ASSERTIONS: ["ES256"]}, {}),
        (RING, {ALG: ["RSA-OAEP-256", "ECDH-ES"], ENC: ["A256GCM"]}, {"encryption": "ok"}),
        (RING, {ALG: ["ECDH-ES+A256KW"]}, {"encryption": "ok"}),
        (RING, {ALG: ["RSA-OAEP-256"], ENC: ["A256GCM"]}, {"encryption": "fail"}),
        (RING, {ALG: ["ECDH-ES"], ENC: ["A128GCM"]}, {"encryption": "fail"}),
        (RING, {}, {"encryption": "warn"}),
        (RING, {ALG: "ECDH-ES", ENC: [5]}, {"encryption": "warn"}),
        (PS256, {ASSERTIONS: ["RS256", "PS256"]}, {"client_key_algorithm": "ok"}),
        (PS256, {ASSERTIONS: ["RS256"]}, {"client_key_algorithm": "fail"}),
        (PS256, {}, {}),
    ],
)
def test_keys_are_for_algorithms_of_the_provider(
    changes: Any, fields: dict[str, Any], expected: dict[str, str]
) -> None:
    results = check_own_keys(load_settings(with_changes(**changes)), fields)
    assert {result.name: result.status for result in results} == expected
    assert all(bool(result.fix) is (result.status != "ok") for result in results)
