"""Validators of client credentials: an ID, a secret or a key, copied from the provider's page of the client."""

import re
from typing import Final

from pydantic import SecretStr

from bff.config.validators import PLACEHOLDER, invalid
from bff.oidc.private_keys import read_private_key

# A whole value; single such characters may be part of a secret.
_TEMPLATE: Final = re.compile(
    r"\$?\{[^{}]*\}|\$[A-Z][A-Z0-9_]*|<[^<>]*>|%7[bB].*%7[dD]|(?i:your[-_]?client.*)"
)  # a whole secret
_EXAMPLE_SECRETS: Final = {"changeme", "change-me", "secret", "client-secret", "client_secret"}
_COPY_IT: Final = "Copy it from the provider's page of this client."


def client_id(value: str) -> str:
    """Validates a client ID: printable ASCII (RFC 6749 appendix A.1) without a blank, and no placeholder."""
    if PLACEHOLDER.search(value):
        raise invalid("is a placeholder.", _COPY_IT)
    return _visible_ascii(value)


def client_secret(value: SecretStr) -> SecretStr:
    """Validates a client secret. Okta's have 14 to 100 characters; other providers' may be longer, and any visible
    ASCII character may be part of them (RFC 6749 appendix A.2).
    """
    secret = _visible_ascii(value.get_secret_value())
    if secret.lower() in _EXAMPLE_SECRETS or _TEMPLATE.fullmatch(secret):
        raise invalid("is an example, not a secret.", _COPY_IT)
    return value


def _visible_ascii(value: str) -> str:
    if not value:
        raise invalid("is empty.", _COPY_IT)
    if not value.isascii():
        excluded = "contains a character outside ASCII, which RFC 6749 (appendix A) excludes."
        raise invalid(excluded, f"Was it copied with a typographic character? {_COPY_IT}")
    if " " in value or not value.isprintable():
        raise invalid("contains a blank or a control character.", _COPY_IT)
    return value


def private_key(value: SecretStr) -> SecretStr:
    """Validates the key for private_key_jwt: PEM or JWK; RSA of at least 2048 bits, an elliptic curve, or Ed25519."""
    try:
        read_private_key(value.get_secret_value())
    except ValueError:
        fix = "Give an unencrypted RSA (2048 bits or more), EC or Ed25519 private key as PEM or JWK."
        raise invalid("is not a readable private key of a supported type and size.", fix) from None
    return value
