"""The loop guard: counts this browser's recent sign-ins in a sealed cookie.

Okta allows one client and device 60 authorization requests a minute and then refuses everybody on that device; a page
that redirects to sign-in on every failure would exceed that within seconds. Nothing is stored on the server, so a flood
costs no memory; a browser that drops this cookie also drops the login cookies, so its sign-ins fail without a retry.
Successful sign-ins count as well: in the most common loop each one succeeds and the page redirects again. Sign-ins
started by another site are counted separately: they can loop too, but a hostile page that redirects its visitors here
must not exhaust the limit of our own pages.
"""

import struct
from collections.abc import Sequence
from typing import Final

from bff.session.keyring import KeyRing, Opened
from bff.web.cookies import Cookie, CookieNames, Header, read_cookies

PURPOSE: Final = "sign-in-attempts-2"
LIMIT: Final = 10  # sign-ins of each kind per window
WINDOW: Final = 60  # seconds
LONGEST: Final = 1 + 2 * LIMIT * 4  # bytes before sealing


class SignInAttempts:
    """The times, in whole seconds since the epoch, at which this browser was redirected to the provider.

    `cross_site`: whether another site started the sign-in in question.
    """

    def __init__(
        self, headers: Sequence[Header], ring: KeyRing, names: CookieNames, now: float, *, cross_site: bool = False
    ) -> None:
        self._ring, self._names, self._now = ring, names, int(now)
        # A time in the future comes from a replica with a fast clock: it counts, and expires a little later.
        own, others = ([at for at in times if at > self._now - WINDOW] for times in _read(headers, ring, names))
        self._times, self._other_times = (others, own) if cross_site else (own, others)
        self._cross_site = cross_site

    @property
    def wait(self) -> int | None:
        """Seconds until the next sign-in may start; None if it may start now."""
        if len(self._times) < LIMIT:
            return None
        return max(1, min(WINDOW, min(self._times[-LIMIT:]) + WINDOW - self._now))

    def count_attempt(self) -> Header:
        """The cookie value that includes the sign-in that starts now."""
        counted, kept = [*self._times, self._now][-LIMIT:], self._other_times[-LIMIT:]
        own, others = (kept, counted) if self._cross_site else (counted, kept)
        plaintext = struct.pack(f">B{len(own) + len(others)}I", len(own), *own, *others)
        return self._names.set_attempts(self._ring.seal_text(PURPOSE, plaintext), lifetime=WINDOW)


def _read(headers: Sequence[Header], ring: KeyRing, names: CookieNames) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The times of our own sign-ins, and of those that other sites started."""
    cookie = read_cookies(headers, names.attempts)
    opened = ring.open_text(PURPOSE, cookie.value) if isinstance(cookie, Cookie) else None
    if not isinstance(opened, Opened) or len(opened.plaintext) % 4 != 1:
        return (), ()
    own, *times = struct.unpack(f">B{len(opened.plaintext) // 4}I", opened.plaintext)
    return tuple(times[:own]), tuple(times[own:])
