"""A cache of opened records, by the authentication tag of the sealed one: the store is still read for every request.

Decrypting and parsing a record costs more than fetching it. A record with the tag of one that was opened under the same
key ring has the same session in it: AES-GCM computes the tag over all of the record, its session key and a nonce of its
own, so no two of our records share their 128 bits. Other bytes of a record can be changed in the store without a key:
that changes nothing for a process that has opened it before, and every other one refuses it. A deleted or rewritten
record is never found here.
"""

from typing import Final

from bff.errors import StoreUnavailable
from bff.lru import LruCache
from bff.session.keyring import KeyRing
from bff.session.session import Session, SessionKey
from bff.session.store import Found, StoredSession
from bff.storage import codec
from bff.storage.limits import CACHE
from bff.storage.opened_record import OpenedRecord, RecentlyUnpacked
from bff.telemetry import metrics

_TAG: Final = 16  # bytes at the end of a sealed record
_UNPACKED: Final = 8  # the part of the memory for what is unpacked: an eighth


class DecodedRecords:
    def __init__(self, ring: KeyRing, limit: int = CACHE) -> None:
        """`limit`: bytes of memory. Those sessions are removed first that were not read for the longest time."""
        self._ring, self._recent = ring, RecentlyUnpacked(limit // _UNPACKED)
        self._opened: LruCache[SessionKey, OpenedRecord] = LruCache(
            limit - limit // _UNPACKED, lambda _, opened: opened.memory()
        )

    def read(self, key: SessionKey, version: int, record: bytes, now: float, last_seen_at: float) -> StoredSession:
        """As `codec.read`."""
        opened = self._opened.get(key)
        if (
            opened is not None
            and opened.tag == record[-_TAG:]
            and opened.version == version
            and opened.keys is self._ring.present
        ):
            return _Read(now, opened, last_seen_at, self, record)
        keys = self._ring.present
        stored = codec.read(self._ring, key, version, record, now, last_seen_at)
        metrics.SESSION_CACHE_MISSES.inc()
        if not isinstance(stored, Found):
            self.forget(key)
            return stored
        opened = OpenedRecord(key, stored.session, record[-_TAG:], keys, self._recent)
        opened.older_key = stored.older_key
        self._opened.put(key, opened)
        return _Read(now, opened, last_seen_at, self, record).with_session(stored.session)

    def known(self, key: SessionKey) -> OpenedRecord | None:
        """What the record was when it was last read under the present keys. The store may have another one by now."""
        opened = self._opened.get(key)
        return None if opened is None or opened.keys is not self._ring.present else opened

    def forget(self, key: SessionKey) -> None:
        """Removes a session that has no record any more."""
        self._opened.remove(key)

    def session(self, opened: OpenedRecord, record: bytes) -> Session:
        """All of the session. Raises StoreUnavailable if the record cannot be opened: its key was removed just now, or
        it was changed in the store. The next read says so.
        """
        session = codec.decode(self._ring, opened.key, opened.version, record)
        if session is None:
            self.forget(opened.key)
            raise StoreUnavailable("A session record cannot be opened any more.", retry_after=1)
        return session


class _Read(Found):
    """A record as the store returned it, which is opened again if all of it is needed."""

    __slots__ = ("_opened", "_record", "_records")

    def __init__(
        self, now: float, opened: OpenedRecord, last_seen_at: float, records: DecodedRecords, record: bytes
    ) -> None:
        self.now, self.view, self.last_seen_at, self.older_key = now, opened, last_seen_at, opened.older_key
        self._opened, self._records, self._record, self._session = opened, records, record, None

    def with_session(self, session: Session) -> "_Read":
        """The same, where the record has just been opened."""
        self._session = session
        return self

    def _open(self) -> Session:
        self._session = session = self._records.session(self._opened, self._record)
        return session
