"""One-time values in Redis: the commands that store and take one, and the parsing of a reply."""

from secrets import token_urlsafe
from typing import Final

from bff.session.keyring import KeyRing
from bff.storage import index, one_time_value
from bff.storage.redis import scripts
from bff.storage.redis.call import Call

TAKEN_KEPT: Final = 30_000  # ms in which a caller whose reply was lost may ask again


class OneTimeValues:
    def __init__(self, ring: KeyRing, prefix: str) -> None:
        self._ring, self._prefix = ring, prefix

    def leaving(self, name: str, value: bytes, until: float) -> Call:
        """`until` is in seconds since the epoch. Raises ValueError for a value that is too large."""
        stored = index.value_name(name)
        key, sealed = f"{self._prefix}value:{stored}", one_time_value.seal(self._ring, stored, value)
        return Call(key, scripts.LEAVE_VALUE, keys=(key,), args=(sealed, int(until * 1000)))

    def taking(self, name: str) -> Call:
        key = f"{self._prefix}value:{index.value_name(name)}"
        return Call(key, scripts.TAKE_VALUE, keys=(key,), args=(token_urlsafe(12), TAKEN_KEPT))

    def taken(self, name: str, reply: bytes) -> bytes | None:
        """The value, None if no key of the ring opens it. Raises TypeError for an invalid reply."""
        return one_time_value.unseal(self._ring, index.value_name(name), bytes(reply))
