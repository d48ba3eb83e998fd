"""The loop guard: how often this browser was sent to sign in of late, kept by the browser itself in a sealed cookie.

Okta lets one client and device ask 60 times a minute and then turns everybody there away. A page that sends people to
sign in whenever something fails would get there within seconds. Nothing is kept here, so a flood costs no memory; a
browser that forgets the cookie forgets the login cookies too, and then no sign-in comes back to be begun again.

Sign-ins that succeed count as well: in the commonest loop each one does, and the page sends the person back.

Sign-ins that another site began are counted apart. They can go round in circles too, but a hostile page that sends its
visitors here again and again must not use up what our own pages need.
"""

import struct
from collections.abc import Sequence
from typing import Final

from bff.session.keyring import KeyRing, Opened
from bff.web.cookies import Cookie, CookieNames, Header, read_cookies

PURPOSE: Final = "sign-in-attempts-2"
LIMIT: Final = 10  # sign-ins begun, of each kind
WINDOW: Final = 60  # seconds
LONGEST: Final = 1 + 2 * LIMIT * 4  # bytes before sealing


class SignInAttempts:
    """The times, in whole seconds since the epoch, at which this browser was sent to the provider.

    `cross_site`: whether another site began the sign-in that is asked about.
    """

    def __init__(
        self, headers: Sequence[Header], ring: KeyRing, names: CookieNames, now: float, *, cross_site: bool = False
    ) -> None:
        self._ring, self._names, self._now = ring, names, int(now)
        # One dated ahead was written by a replica whose clock is fast: it counts, and leaves a little later.
        own, others = ([at for at in times if at > self._now - WINDOW] for times in _read(headers, ring, names))
        self._times, self._other_times = (others, own) if cross_site else (own, others)
        self._cross_site = cross_site

    @property
    def wait(self) -> int | None:
        """Seconds until the next one may begin; None if it may now."""
        if len(self._times) < LIMIT:
            return None
        return max(1, min(WINDOW, min(self._times[-LIMIT:]) + WINDOW - self._now))

    def count_attempt(self) -> Header:
        """The cookie that counts the one that begins now."""
        counted, kept = [*self._times, self._now][-LIMIT:], self._other_times[-LIMIT:]
        own, others = (kept, counted) if self._cross_site else (counted, kept)
        plaintext = struct.pack(f">B{len(own) + len(others)}I", len(own), *own, *others)
        return self._names.set_attempts(self._ring.seal_text(PURPOSE, plaintext), lifetime=WINDOW)


def _read(headers: Sequence[Header], ring: KeyRing, names: CookieNames) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The times of our own sign-ins, and of those that other sites began."""
    cookie = read_cookies(headers, names.attempts)
    opened = ring.open_text(PURPOSE, cookie.value) if isinstance(cookie, Cookie) else None
    if not isinstance(opened, Opened) or len(opened.plaintext) % 4 != 1:
        return (), ()
    own, *times = struct.unpack(f">B{len(opened.plaintext) // 4}I", opened.plaintext)
    return tuple(times[:own]), tuple(times[own:])
