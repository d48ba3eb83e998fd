"""The public half of the client's key, as a JWK for Okta (RFC 7517)."""

from collections.abc import Mapping
from typing import Final

from bff.config.settings import Settings
from bff.provider.own_keys import client_public_key

# The members that identify the key (RFC 7638).
IDENTITY: Final = ("kty", "n", "e", "crv", "x", "y")


def public_key(settings: Settings) -> Mapping[str, str] | None:
    """The public half of the client's key, as `/.well-known/jwks.json` has it. Raises ConfigurationError."""
    return client_public_key(settings.provider)
