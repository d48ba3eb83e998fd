"""Carries `login_hint` from a form, or from another site's link, to the provider, sealed wherever the BFF writes it.

It is a user's e-mail address. Our redirect has to carry it in the query, and proxies log queries; so it is sealed, and
a logged value can be opened for one minute only.
"""

import struct
import time
from collections.abc import Callable
from typing import Final

from bff.session.keyring import KeyRing, Opened

PURPOSE: Final = "login-hint"
LIFETIME: Final = 60  # seconds
LIMIT: Final = 254  # characters; what an e-mail address may have


class LoginHints:
    def __init__(self, ring: KeyRing, clock: Callable[[], float] = time.time) -> None:
        """`clock` in seconds since the epoch."""
        self._ring, self._clock = ring, clock

    def seal(self, hint: str) -> str:
        """`hint` has at most `LIMIT` characters."""
        return self._ring.seal_text(PURPOSE, struct.pack(">Q", int(self._clock())) + hint.encode())

    def open(self, sealed: str) -> str | None:
        """None for one that has expired or is not ours: the user types the name instead."""
        opened = self._ring.open_text(PURPOSE, sealed)
        if not isinstance(opened, Opened) or len(opened.plaintext) <= 8:
            return None
        (sealed_at,) = struct.unpack_from(">Q", opened.plaintext)
        return opened.plaintext[8:].decode() if abs(self._clock() - sealed_at) <= LIFETIME else None
