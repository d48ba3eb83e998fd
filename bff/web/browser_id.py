"""The browser-id cookie: 256 random bits that recognise a browser, and give no access to its session.

Login and callback find this browser's session by it, because the Strict session cookie is not sent there. A page finds
by it why the last session ended, and a sign-out after that the ID token for the provider (`id_token_hint`), once.
"""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Final

from bff.base64url import decode_base64url, encode_base64url
from bff.web.cookies import Cookie, CookieNames, Header, read_cookies

_BYTES: Final = 32


def new_browser_id() -> str:
    """A value for the browser-id cookie: 256 random bits, base64url."""
    return encode_base64url(secrets.token_bytes(_BYTES))


def hash_browser_id(value: str) -> str:
    """The value that a session record keeps of the browser-id cookie: SHA-256 of its text, base64url."""
    return encode_base64url(hashlib.sha256(value.encode("ascii")).digest())


def browser_id_hash(headers: Iterable[Header], names: CookieNames) -> str | None:
    """The hash of this request's browser-id cookie; None when there is none, or more than one.

    The cookie gives no access, so an ambiguous one is treated as a new browser.
    """
    match read_cookies(headers, names.browser):
        case Cookie(value):
            random = decode_base64url(value)
            return hash_browser_id(value) if random is not None and len(random) == _BYTES else None
        case _:
            return None
