"""The bound cookie: for some minutes after a proof it shows that a request comes from the browser with the key (DBSC).

Sealed, and worthless without the session cookie: it names the session, the key and its own end. Opened cookies are
cached by the text of the Cookie header.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bff.asgi.header_section import facts_of
from bff.base64url import encode_base64url, require_base64url
from bff.lru import LruCache
from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.session import SessionKey
from bff.web.cookies import Cookie, CookieNames, Header, read_cookies

PURPOSE: Final = "bound-cookie"
# The browser drops the cookie this much earlier (seconds) than the server: a request with it is on its way for a while,
# and the clocks of two replicas differ.
EARLIER: Final = 60
_KEY: Final = 32  # bytes of the session key
_THUMBPRINT: Final = 32
_ENTRY: Final = 600  # bytes of memory beside the header
MAX_COOKIE_BYTES: Final = 1024  # of a Cookie header that is cached


@dataclass(frozen=True, slots=True)
class BoundCookie:
    """`expires_at`: seconds since the epoch."""

    session: SessionKey
    thumbprint: str
    expires_at: float


# `unknown_key`: sealed under a key that this process does not have. `none`: there is no cookie of ours.
BoundCookieResult: TypeAlias = BoundCookie | Literal["none", "unknown_key"]


class BoundCookies:
    """One per application."""

    def __init__(
        self, ring: KeyRing, names: CookieNames, clock: Callable[[], float], *, lifetime: int, cache: int = 1 << 20
    ) -> None:
        """`clock`: seconds since the epoch. `lifetime`: seconds for which a cookie is accepted; `cache`: bytes."""
        self._ring, self._names, self._clock, self._lifetime = ring, names, clock, lifetime
        self._opened: LruCache[bytes, BoundCookie] = LruCache(cache, lambda header, _: _ENTRY + len(header))
        self._keys: object = ring.present

    @property
    def attributes(self) -> str:
        """As session instructions state them."""
        return "Path=/; HttpOnly; SameSite=Strict" + ("; Secure" if self._names.secure else "")

    @property
    def name(self) -> str:
        return self._names.bound

    def seal(self, session: SessionKey, thumbprint: str) -> Header:
        """The Set-Cookie header. Raises KeyExhausted."""
        ends = int(self._clock() + self._lifetime).to_bytes(8)
        value = self._ring.seal_text(PURPOSE, require_base64url(session) + require_base64url(thumbprint) + ends)
        return self._names.set_bound(value, lifetime=self._lifetime - EARLIER)

    def read(self, headers: Iterable[Header]) -> BoundCookieResult:
        """What the bound cookie of a request says. Header names are in lower case (ASGI)."""
        facts = facts_of(headers)
        if facts is not None and (known := facts.get(self)) is not None and known[0] is self._ring.present:
            cookie: BoundCookie = known[1]
            return cookie
        result = self._read(headers)
        if facts is not None and isinstance(result, BoundCookie):
            facts[self] = self._ring.present, result
        return result

    def _read(self, headers: Iterable[Header]) -> BoundCookieResult:
        if self._keys is not self._ring.present:
            self._keys = self._ring.present
            self._opened.clear()
        lines = [value for name, value in headers if name == b"cookie"]
        whole = lines[0] if len(lines) == 1 else b""
        known = self._opened.get(whole)
        if known is not None:
            return known
        match read_cookies(headers, self._names.bound):
            case Cookie(value):
                result = self._open(value)
            case _:  # absent, or twice: then one of them may be injected
                return "none"
        if isinstance(result, BoundCookie) and 0 < len(whole) <= MAX_COOKIE_BYTES:
            self._opened.put(whole, result)
        return result

    def _open(self, value: str) -> BoundCookieResult:
        match self._ring.open_text(PURPOSE, value):
            case Opened(plaintext) if len(plaintext) == _KEY + _THUMBPRINT + 8:
                session, thumbprint = plaintext[:_KEY], plaintext[_KEY : _KEY + _THUMBPRINT]
                ends = int.from_bytes(plaintext[_KEY + _THUMBPRINT :])
                return BoundCookie(SessionKey(encode_base64url(session)), encode_base64url(thumbprint), ends)
            case Unreadable("unknown_key"):
                return "unknown_key"
            case _:
                return "none"
