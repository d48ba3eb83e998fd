"""The session cookie: one object reads, requires, seals and clears it, and caches opened cookies for the hot path."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from bff.asgi.header_section import facts_of
from bff.errors import InvalidRequest, SignInRequired
from bff.lru import LruCache
from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.session import EndReason, SessionId
from bff.web.cookies import Absent, Cookie, CookieNames, CookieResult, Header, Repeated, read_cookies

PURPOSE: Final = "session-cookie"
_ID_BYTES: Final = 32
CACHE: Final = 18 << 20  # bytes of memory for cached Cookie headers: about 40,000
_ENTRY: Final = 400  # bytes beside the header itself, as measured
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


class SessionCookies:
    """One per application.

    Opened cookies are cached by the text of the Cookie header. Only the session id is cached; the store is still read
    for each request.
    """

    def __init__(self, ring: KeyRing, names: CookieNames, cache: int = CACHE) -> None:
        """`cache`: bytes of memory for Cookie headers that were opened before."""
        self._ring, self._names = ring, names
        self._opened: LruCache[bytes, SignedIn] = LruCache(
            cache, lambda header, _: _ENTRY + len(header)
        )  # by the whole Cookie header
        self._keys: object = ring.present

    def read(self, headers: Iterable[Header]) -> CurrentSession:
        """What the session cookie of a request says. Header names are in lower case (ASGI)."""
        facts = facts_of(headers)
        if facts is None:
            return self._read(headers)
        keys, session = facts.get(self) or (None, None)
        if session is None or keys is not self._ring.present:
            keys = self._ring.present
            session = self._read(headers)
            if isinstance(session, SignedIn):
                facts[self] = keys, session
        return session

    def _read(self, headers: Iterable[Header]) -> CurrentSession:
        if self._keys is not self._ring.present:
            self._keys = self._ring.present
            self._opened.clear()
        lines = [value for name, value in headers if name == b"cookie"]
        whole = lines[0] if len(lines) == 1 else b""
        known = self._opened.get(whole)
        if known is not None:
            return known
        session = self._open(read_cookies(headers, self._names.session))
        if isinstance(session, SignedIn) and 0 < len(whole) <= MAX_COOKIE_BYTES:
            self._opened.put(whole, session)
        return session

    @property
    def names(self) -> CookieNames:
        return self._names

    def require(self, headers: Iterable[Header]) -> SignedIn:
        """The session id of the cookie. Raises SignInRequired, or InvalidRequest for a duplicate cookie."""
        match self.read(headers):
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

    def seal(self, session_id: SessionId) -> Header:
        """The Set-Cookie header with the id, sealed under the newest key."""
        return self._names.set_session(seal_session_cookie(session_id, self._ring))

    def clear(self) -> Header:
        """The Set-Cookie header that deletes the cookie."""
        return self._names.clear_session()

    def _open(self, cookie: CookieResult) -> CurrentSession:
        match cookie:
            case Absent():
                return Anonymous()
            case Repeated():
                return DuplicateCookie()
            case Cookie(value):
                opened = self._ring.open_text(PURPOSE, value)
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


def seal_session_cookie(session_id: SessionId, ring: KeyRing) -> str:
    """The cookie's value: 87 characters of base64url."""
    return ring.seal_text(PURPOSE, session_id.secret)
