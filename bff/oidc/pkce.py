"""Proof Key for Code Exchange (RFC 7636): a stolen code is useless without the verifier."""

import hashlib

from bff.base64url import encode_base64url


def s256_challenge(verifier: str) -> str:
    """BASE64URL(SHA256(verifier)) without padding (section 4.2). `plain` is not supported."""
    return encode_base64url(hashlib.sha256(verifier.encode("ascii")).digest())
