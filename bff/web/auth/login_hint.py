"""`login_hint` on its way from a form, or from another site's link, to the provider: sealed wherever we write it.

It is somebody's e-mail address. A redirect of ours has to carry it in its query, and queries are written down by every
proxy on the way; so it travels sealed, and what was written down opens for a minute only.
"""

import struct
from typing import Final

from bff.session.keyring import KeyRing, Opened

PURPOSE: Final = "login-hint"
LIFETIME: Final = 60  # seconds
LIMIT: Final = 254  # characters; what an e-mail address may have


def seal_login_hint(hint: str, ring: KeyRing, now: float) -> str:
    """`hint` has at most `LIMIT` characters; `now` in seconds since the epoch."""
    return ring.seal_text(PURPOSE, struct.pack(">Q", int(now)) + hint.encode())


def open_login_hint(sealed: str, ring: KeyRing, now: float) -> str | None:
    """None for one that is too old or not ours: the person types the name instead."""
    opened = ring.open_text(PURPOSE, sealed)
    if not isinstance(opened, Opened) or len(opened.plaintext) <= 8:
        return None
    (sealed_at,) = struct.unpack_from(">Q", opened.plaintext)
    return opened.plaintext[8:].decode() if abs(now - sealed_at) <= LIFETIME else None
