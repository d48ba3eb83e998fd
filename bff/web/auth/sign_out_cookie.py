"""The sealed cookie that binds the URL of a sign-out at the provider to the browser that asked for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bff.session.keyring import KeyRing, Opened
from bff.web.cookies import Cookie, CookieNames, Header, read_cookies

PURPOSE: Final = "sign-out-cookie"


@dataclass(frozen=True, slots=True)
class SignOutCookie:
    ring: KeyRing
    names: CookieNames

    def read(self, headers: Iterable[Header]) -> str | None:
        """The browser that the cookie names; None without a cookie that we sealed."""
        match read_cookies(headers, self.names.sign_out):
            case Cookie(value):
                opened = self.ring.open_text(PURPOSE, value)
                return opened.plaintext.decode("ascii") if isinstance(opened, Opened) else None
            case _:
                return None

    def seal(self, browser: str, *, lifetime: int) -> Header:
        """`lifetime` in seconds."""
        sealed = self.ring.seal_text(PURPOSE, browser.encode("ascii"))
        return self.names.set_sign_out(sealed, lifetime=lifetime)

    def clear(self) -> Header:
        return self.names.clear_sign_out()
