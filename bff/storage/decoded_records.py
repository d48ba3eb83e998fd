"""A cache of decrypted records, keyed by their encrypted bytes: the store is still read for every request.

Decrypting and parsing a record costs more than fetching it. Identical bytes under the same key ring are the same
session; a deleted or rewritten record is never found here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bff.lru import LruCache
from bff.session.keyring import KeyRing
from bff.session.session import Session, SessionKey
from bff.session.store import Found, StoredSession
from bff.storage import codec
from bff.storage.limits import CACHE
from bff.telemetry import metrics

# The memory of an entry, as measured: 7 kB for a record of 2.5 kB, with tokens of 900 bytes.
_ENTRY: Final = 1800  # bytes
_VALUE: Final = 90  # bytes for each value of a claim


@dataclass(frozen=True, slots=True)
class _Decoded:
    version: int
    record: bytes
    keys: object
    stored: Found


class DecodedRecords:
    def __init__(self, ring: KeyRing, limit: int = CACHE) -> None:
        """`limit`: bytes of memory. Those sessions are removed first that were not read for the longest time."""
        self._ring = ring
        self._decoded: LruCache[SessionKey, _Decoded] = LruCache(limit)

    def read(self, key: SessionKey, version: int, record: bytes, now: float, last_seen_at: float) -> StoredSession:
        """As `codec.read`."""
        decoded = self._decoded.get(key)
        if (
            decoded is not None
            and decoded.record == record
            and decoded.version == version
            and decoded.keys is self._ring.present
        ):
            stored = decoded.stored
            return Found(now, stored.session, last_seen_at, stored.older_key)
        keys = self._ring.present
        read = codec.read(self._ring, key, version, record, now, last_seen_at)
        metrics.SESSION_CACHE_MISSES.inc()
        if isinstance(read, Found):
            self._decoded.put(key, _Decoded(version, record, keys, read), memory_of(record, read.session))
        else:
            self.forget(key)
        return read

    def known(self, key: SessionKey) -> Found | None:
        """What the record was when it was last read under the present keys. The store may have another one by now."""
        decoded = self._decoded.get(key)
        return None if decoded is None or decoded.keys is not self._ring.present else decoded.stored

    def forget(self, key: SessionKey) -> None:
        """Removes a session that has no record any more."""
        self._decoded.remove(key)


def memory_of(record: bytes, session: Session) -> int:
    """About how many bytes a sealed record and its session take together, with what refers to them."""
    return _ENTRY + 2 * len(record) + _VALUE * _values(session.user.claims)


def _values(value: Any) -> int:
    """The number of values, nested ones included."""
    match value:
        case Mapping():
            return 1 + sum(map(_values, value.values()))
        case list():
            return 1 + sum(map(_values, value))
        case _:
            return 1
