"""A cache of decrypted records, keyed by their encrypted bytes: the store is still read for every request.

Decrypting and parsing a record costs more than fetching it. Identical bytes under the same key ring are the same
session; a deleted or rewritten record is never found here.
"""

from dataclasses import dataclass
from typing import Final

from bff.session.keyring import KeyRing
from bff.session.session import SessionKey
from bff.session.store import Found, StoredSession
from bff.storage import codec

BYTES_KEPT: Final = 16 << 20  # bytes of sealed records in total; about ten thousand sessions of Okta's size


@dataclass(frozen=True, slots=True)
class _Decoded:
    version: int
    record: bytes
    keys: object
    stored: Found


class DecodedRecords:
    def __init__(self, ring: KeyRing, *, bytes_kept: int = BYTES_KEPT) -> None:
        self._ring, self._limit = ring, bytes_kept
        self._decoded: dict[SessionKey, _Decoded] = {}
        self._size = 0

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
        self.forget(key)
        if isinstance(read, Found):
            self._decoded[key] = _Decoded(version, record, keys, read)
            self._size += len(record)
            while self._size > self._limit:
                self.forget(next(iter(self._decoded)))
        return read

    def forget(self, key: SessionKey) -> None:
        """Removes a session that has no record any more."""
        decoded = self._decoded.pop(key, None)
        if decoded is not None:
            self._size -= len(decoded.record)
