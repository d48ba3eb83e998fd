"""Proof Key for Code Exchange (RFC 7636): a stolen code is useless without the verifier."""

import hashlib
import secrets
from base64 import urlsafe_b64encode


def new_verifier() -> str:
    """256 random bits in 43 characters (section 4.1)."""
    return secrets.token_urlsafe(32)


def s256_challenge(verifier: str) -> str:
    """BASE64URL(SHA256(verifier)) without padding (section 4.2). `plain` is not supported."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")
