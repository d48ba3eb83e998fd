"""The public half of the client's key, as a JWK for Okta (RFC 7517)."""

from collections.abc import Mapping
from typing import Final

from bff.config.settings import Settings
from bff.oidc.public_jwk import public_members, thumbprint
from bff.provider.open import client_auth

# The members that identify the key (RFC 7638).
IDENTITY: Final = ("kty", "n", "e", "crv", "x", "y")


def public_key(settings: Settings) -> Mapping[str, str] | None:
    """The public half of the client's key as a JWK; the kid defaults to its thumbprint. Raises ConfigurationError."""
    if settings.provider.client_auth != "private_key_jwt" or settings.provider.client_private_key is None:
        return None
    candidate = client_auth(settings.provider).candidates[0]
    assert not isinstance(candidate.key, str)
    members = public_members(candidate.key)
    return {**members, "use": "sig", "alg": candidate.alg, "kid": candidate.kid or thumbprint(members)}
