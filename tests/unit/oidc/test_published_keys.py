"""The document of our public keys."""

import json

import pytest

from bff.oidc.public_jwk import public_members
from bff.oidc.published_keys import PublishedKeys, key_set_document
from tests.harness.minting import EC_KEY, ED25519_KEY, RSA_KEY, private_jwk

RSA, EC, OKP = (public_members(key) for key in (RSA_KEY, EC_KEY, ED25519_KEY))


def test_each_feature_replaces_its_own_keys() -> None:
    published = PublishedKeys({"client": [RSA], "decryption": []})
    document, etag = published.current
    assert json.loads(document) == {"keys": [RSA]}
    published.replace({"decryption": [EC], "assertions": [OKP, RSA]})
    assert json.loads(published.current[0]) == {"keys": [RSA, EC, OKP]}
    published.replace({"decryption": [], "assertions": []})
    assert published.current == (document, etag)


def test_a_private_key_is_never_published() -> None:
    published = PublishedKeys({"client": [RSA]})
    before = published.current
    for secret in (private_jwk(EC_KEY), private_jwk(RSA_KEY), {"kty": "oct", "k": "AAAA"}):
        with pytest.raises(ValueError, match="must not be published"):
            published.replace({"decryption": [secret]})
        with pytest.raises(ValueError, match="must not be published"):
            key_set_document([secret])
    published.replace({"another": []})
    assert published.current == before
