"""A value that is left under a random name and taken once: sealed, and bound to the name that it is stored under."""

from typing import Final

from bff.session.keyring import KeyRing, Opened, Unreadable
from bff.session.store import VALUE_LIMIT

PURPOSE: Final = "one-time-value"


def seal(ring: KeyRing, stored_name: str, value: bytes) -> bytes:
    """Raises ValueError for more than `VALUE_LIMIT` bytes."""
    if len(value) > VALUE_LIMIT:
        raise ValueError("too large for a value that is taken once")
    return ring.seal(PURPOSE, value, stored_name.encode())


def unseal(ring: KeyRing, stored_name: str, sealed: bytes) -> bytes | None:
    """None for what no key of the ring opens under that name. Never raises."""
    match ring.open(PURPOSE, sealed, stored_name.encode()):
        case Opened(value):
            return value
        case Unreadable():
            return None
