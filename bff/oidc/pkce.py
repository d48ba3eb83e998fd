"""Proof Key for Code Exchange (RFC 7636): a stolen code is useless without the verifier."""

import hashlib
from base64 import urlsafe_b64encode


def s256_challenge(verifier: str) -> str:
    """BASE64URL(SHA256(verifier)) without padding (section 4.2). `plain` is not supported."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")
