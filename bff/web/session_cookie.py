"""The session of a request: opens the session cookie and hashes the browser-id cookie."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from bff.errors import InvalidRequest, SignInRequired
from bff.session.keyring import KeyRing, Opened, Unreadable, decode_base64url, encode_base64url
from bff.session.session import EndReason, SessionId
from bff.web.cookies import Absent, Cookie, CookieNames, CookieResult, Header, Repeated, read_cookies

PURPOSE: Final = "session-cookie"
_ID_BYTES: Final = 32
_BROWSER_ID_BYTES: Final = 32
MAX_OPENED: Final = 10_000  # cached Cookie headers; about 5 MiB, 15 at most
MAX_COOKIE_BYTES: Final = 1024  # bytes


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A cookie that the BFF sealed.

    Whether the session still exists is up to the store. `reseal`: an older key sealed it, so the next response that may
    set cookies should set it again.
    """

    session_id: SessionId
    reseal: bool


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No session cookie, or one that the BFF did not issue."""


@dataclass(frozen=True, slots=True)
class KeyRemoved:
    """Sealed under a key that is not in this ring: a 401 with the reason `key_removed`, and the cookie is *kept*.

    Another replica may still have the key in the middle of a key rotation, so the cookie must not be cleared.
    """


@dataclass(frozen=True, slots=True)
class DuplicateCookie:
    """The session cookie occurs twice: a 400."""


CurrentSession: TypeAlias = SignedIn | Anonymous | KeyRemoved | DuplicateCookie


def seal_session_cookie(session_id: SessionId, ring: KeyRing) -> str:
    """The cookie's value: 87 characters of base64url."""
    return ring.seal_text(PURPOSE, session_id.secret)


def read_session_id(headers: Iterable[Header], ring: KeyRing, names: CookieNames) -> CurrentSession:
    return _opened(read_cookies(headers, names.session), ring)


def _opened(cookie: CookieResult, ring: KeyRing) -> CurrentSession:
    match cookie:
        case Absent():
            return Anonymous()
        case Repeated():
            return DuplicateCookie()
        case Cookie(value):
            opened = ring.open_text(PURPOSE, value)
        case other:
            assert_never(other)
    match opened:
        case Opened(plaintext, key_is_newest):
            if len(plaintext) != _ID_BYTES:
                return Anonymous()
            return SignedIn(SessionId(plaintext), reseal=not key_is_newest)
        case Unreadable("unknown_key"):
            return KeyRemoved()
        case Unreadable():
            return Anonymous()


class SessionCookieCache:
    """`read_session_id` for the hot path: caches opened cookies by the text of the Cookie header.

    Only the session id is cached; the store is still read for each request.
    """

    def __init__(self, ring: KeyRing, names: CookieNames) -> None:
        self._ring, self._name = ring, names.session
        self._opened: dict[bytes, SignedIn] = {}  # by the whole Cookie header
        self._keys: object = ring.present

    def read(self, headers: Iterable[Header]) -> CurrentSession:
        if self._keys is not self._ring.present:
            self._keys = self._ring.present
            self._opened.clear()
        lines = [value for name, value in headers if name == b"cookie"]
        whole = lines[0] if len(lines) == 1 else b""
        known = self._opened.get(whole)
        if known is not None:
            return known
        session = _opened(read_cookies(headers, self._name), self._ring)
        if isinstance(session, SignedIn) and 0 < len(whole) <= MAX_COOKIE_BYTES:
            if len(self._opened) >= MAX_OPENED:
                del self._opened[next(iter(self._opened))]
            self._opened[whole] = session
        return session


def require_session_id(headers: Iterable[Header], ring: KeyRing, names: CookieNames) -> SignedIn:
    """The session id of the cookie. Raises SignInRequired, or InvalidRequest for a duplicate cookie."""
    match read_session_id(headers, ring, names):
        case SignedIn() as signed_in:
            return signed_in
        case KeyRemoved():
            raise SignInRequired(reason=EndReason.KEY_REMOVED.value)
        case DuplicateCookie():
            raise InvalidRequest("The session cookie came twice.")
        case Anonymous():
            raise SignInRequired
        case other:
            assert_never(other)


def new_browser_id() -> str:
    """A value for the browser-id cookie: 256 random bits, base64url."""
    return encode_base64url(secrets.token_bytes(_BROWSER_ID_BYTES))


def hash_browser_id(value: str) -> str:
    """The value that a session record keeps of the browser-id cookie: SHA-256 of its text, base64url."""
    return encode_base64url(hashlib.sha256(value.encode("ascii")).digest())


def browser_id_hash(headers: Iterable[Header], names: CookieNames) -> str | None:
    """The hash of this request's browser-id cookie; None when there is none, or more than one.

    The cookie has no authority, so an ambiguous one is treated as a new browser.
    """
    match read_cookies(headers, names.browser):
        case Cookie(value):
            random = decode_base64url(value)
            return hash_browser_id(value) if random is not None and len(random) == _BROWSER_ID_BYTES else None
        case _:
            return None
