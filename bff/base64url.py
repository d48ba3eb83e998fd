"""Base64url without padding, in its canonical form only (RFC 4648 section 5, RFC 7515 section 2).

Python's decoder skips foreign characters and ignores trailing bits, so that several texts would decode to one value.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def encode_base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes | None:
    """The bytes, or None unless `text` is their canonical encoding; the empty text is none."""
    if not _ALPHABET.fullmatch(text) or len(text) % 4 == 1:
        return None
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return data if encode_base64url(data) == text else None


def require_base64url(text: str) -> bytes:
    """As `decode_base64url`. Raises ValueError for anything else."""
    data = decode_base64url(text)
    if data is None:
        raise ValueError("not canonical base64url")
    return data
