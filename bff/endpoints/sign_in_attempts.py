"""The loop guard: how often this browser was sent to sign in of late, kept by the browser itself in a sealed cookie.

Okta lets one client and device ask 60 times a minute and then turns everybody there away. A page that sends people to
sign in whenever something fails would get there within seconds. Nothing is kept here, so a flood costs no memory; a
browser that forgets the cookie forgets the login cookies too, and then no sign-in comes back to be begun again.

Sign-ins that succeed count as well: in the commonest loop each one does, and the page sends the person back.
"""

import struct
from collections.abc import Sequence
from typing import Final

from bff.endpoints.cookies import Cookie, CookieNames, Header, read_cookies
from bff.session.sealing import KeyRing, Opened

PURPOSE: Final = "sign-in-attempts"
LIMIT: Final = 10  # sign-ins begun
WINDOW: Final = 60  # seconds


class SignInAttempts:
    """The times, in whole seconds since the epoch, at which this browser was sent to the provider."""

    def __init__(self, headers: Sequence[Header], ring: KeyRing, names: CookieNames, now: float) -> None:
        self._ring, self._names, self._now = ring, names, int(now)
        # One dated ahead was written by a replica whose clock is fast: it counts, and leaves a little later.
        self._times = [at for at in _read(headers, ring, names) if at > self._now - WINDOW]

    @property
    def wait(self) -> int | None:
        """Seconds until the next one may begin; None if it may now."""
        if len(self._times) < LIMIT:
            return None
        return max(1, min(WINDOW, min(self._times[-LIMIT:]) + WINDOW - self._now))

    def one_more(self) -> Header:
        """The cookie that counts the one that begins now."""
        times = [*self._times, self._now][-LIMIT:]
        value = self._ring.seal_text(PURPOSE, struct.pack(f">{len(times)}Q", *times))
        return self._names.set_attempts(value, lifetime=WINDOW)


def _read(headers: Sequence[Header], ring: KeyRing, names: CookieNames) -> tuple[int, ...]:
    cookie = read_cookies(headers, names.attempts)
    opened = ring.open_text(PURPOSE, cookie.value) if isinstance(cookie, Cookie) else None
    if not isinstance(opened, Opened) or len(opened.plaintext) % 8:
        return ()
    return struct.unpack(f">{len(opened.plaintext) // 8}Q", opened.plaintext)
