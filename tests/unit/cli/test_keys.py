"""`bff keys new`, `bff keys jwk` and `bff keys list`."""

import json

import pytest

from bff.base64url import decode_base64url
from bff.config.settings import load_settings
from bff.provider.open import client_auth
from bff.session.keyring import key_id
from tests.harness.bff_command import call_bff
from tests.harness.settings import KEY, OLD_KEY, RIGHT, with_changes


def test_a_new_key_is_accepted_and_never_the_same() -> None:
    first, second = (call_bff("keys", "new").stdout.strip() for _ in range(2))
    assert first != second
    assert len(load_settings(with_changes(session_keys=f"{first} {second}")).session.key_ring) == 2


@pytest.mark.parametrize("algorithm", ["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW"])
def test_a_new_jwk_is_accepted_as_a_decryption_key(algorithm: str) -> None:
    jwk = json.loads(call_bff("keys", "jwk", algorithm).stdout)
    decryption = load_settings(with_changes(decryption_keys=json.dumps(jwk))).provider.encryption.decryption
    assert decryption is not None
    assert [key.kid for key in decryption.keys.keys] == [jwk["kid"]]


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
def test_a_new_jwk_is_accepted_as_the_key_of_the_client(algorithm: str) -> None:
    jwk = call_bff("keys", "jwk", algorithm).stdout
    method = {"client_auth": "private_key_jwt", "client_secret": None}
    settings = load_settings(with_changes(client_private_key=jwk, **method)).provider
    assert client_auth(settings).candidates[0].alg == algorithm


def test_the_public_keys_are_printed_without_the_private_ones() -> None:
    jwk = json.loads(call_bff("keys", "jwk", "ECDH-ES").stdout)
    done = call_bff("keys", "public", environ=with_changes(decryption_keys=json.dumps(jwk)))
    assert json.loads(done.stdout) == {"keys": [{name: value for name, value in jwk.items() if name != "d"}]}
    assert json.loads(call_bff("keys", "public", environ=RIGHT).stdout) == {"keys": []}


def test_the_list_shows_ids_newest_first_and_no_key() -> None:
    done = call_bff("keys", "list", environ=with_changes(session_keys=f"{KEY},{OLD_KEY}"))
    newest, older = (key_id(decode_base64url(key) or b"") for key in (KEY, OLD_KEY))
    assert done.stdout == f"{newest}  newest: encrypts and decrypts\n{older}  decrypts only\n"


def test_invalid_keys_are_an_invalid_configuration() -> None:
    done = call_bff("keys", "list", environ=with_changes(session_keys="changeme"))
    assert (done.returncode, done.stdout) == (1, "")
