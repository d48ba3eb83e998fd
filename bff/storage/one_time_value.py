"""A one-time value: stored under a random name, sealed, and bound to the name."""

from typing import Final

from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.store import VALUE_LIMIT

PURPOSE: Final = "one-time-value"


def seal(ring: KeyRing, stored_name: str, value: bytes) -> bytes:
    """Raises ValueError for more than `VALUE_LIMIT` bytes."""
    if len(value) > VALUE_LIMIT:
        raise ValueError("too large for a one-time value")
    return ring.seal(PURPOSE, value, stored_name.encode())


def unseal(ring: KeyRing, stored_name: str, sealed: bytes) -> bytes | None:
    """None if no key of the ring opens it under that name. Never raises."""
    match ring.open(PURPOSE, sealed, stored_name.encode()):
        case Opened(value):
            return value
        case Unreadable():
            return None
