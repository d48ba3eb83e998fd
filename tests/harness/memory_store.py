"""A SessionStore in memory, with the records and names of the real ones. It passes their contract."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.revocation import MAX_WAIT, TURN, Revocation, RevocationQueue
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import (
    Deleted,
    Found,
    IndexName,
    InvalidPosition,
    KeyPage,
    KeyRemoved,
    Missing,
    Page,
    Replaced,
    Rewrapped,
    StoredSession,
    StoredView,
)
from bff.storage import codec, index, one_time_value
from bff.storage.decoded_records import DecodedRecords
from bff.storage.limits import StoreLimits
from bff.storage.revocation_record import RevocationRecords
from bff.storage.sqlite.expiry import RETENTION_AFTER_END

T = TypeVar("T")


@dataclass
class _Record:
    version: int
    encoded: codec.Encoded
    ends_at: float
    last_seen_at: float
    entries: tuple[tuple[IndexName, str], ...]


@dataclass
class _Waiting:
    due_at: float
    until: float
    sealed: bytes
    attempts: int = 0


class _Expiring(dict[str, tuple[T, float]], Generic[T]):
    """Values by name, each with the time until which it is there."""

    def at(self, name: str, now: float) -> T | None:
        value, until = self.get(name, (None, 0.0))
        return value if until > now else None


@dataclass
class MemoryData:
    """What the stores of several replicas share.

    While it is `down`, no operation gets a reply; while it is `full`, each gets an error.
    """

    clock: Callable[[], float]
    down: bool = False
    full: bool = False
    sessions: dict[str, _Record] = field(default_factory=dict)
    ends: _Expiring[EndReason] = field(default_factory=_Expiring)
    markers: _Expiring[float] = field(default_factory=_Expiring)
    claims: _Expiring[bool] = field(default_factory=_Expiring)
    values: _Expiring[bytes] = field(default_factory=_Expiring)
    revocations: dict[str, _Waiting] = field(default_factory=dict)

    def now(self) -> float:
        if self.down or self.full:
            raise StoreUnavailable(retry_after=1, unreachable=self.down)
        return self.clock()


class MemoryStore:
    def __init__(self, data: MemoryData, ring: KeyRing, *, limits: StoreLimits = StoreLimits()) -> None:
        self.data, self._ring, self._decoded = data, ring, DecodedRecords(ring, limits.cache)
        self.revocations: RevocationQueue = MemoryRevocations(data, RevocationRecords(ring), limits.revocations)

    async def now(self) -> float:
        return self.data.now()

    async def create(self, session: Session) -> None:
        _require_key(session.key)
        now, encoded = self.data.now(), codec.encode(self._ring, session)
        present = self.data.sessions.get(session.key)
        if present is not None and present.encoded.write_id != encoded.write_id:
            raise StoreUnavailable("A session with this key already exists.")
        self._write(session, encoded, last_seen_at=now)

    async def get(self, key: SessionKey) -> StoredSession:
        now, record = self.data.now(), self.data.sessions.get(key)
        if record is None or record.ends_at <= now - RETENTION_AFTER_END:
            self._decoded.forget(key)
            return Missing(now)
        return self._decoded.read(key, record.version, record.encoded.record, now, record.last_seen_at)

    async def get_many(self, keys: Sequence[SessionKey]) -> Sequence[StoredView | BaseException]:
        return await asyncio.gather(*(self.get(key) for key in keys), return_exceptions=True)

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        _require_key(session.key)
        now, session = self.data.now(), replace(session, version=expected_version + 1)
        encoded, present = codec.encode(self._ring, session), self.data.sessions.get(session.key)
        if present is None:
            return Replaced(now, done=False)
        if present.version == expected_version:
            self._write(session, encoded, last_seen_at=present.last_seen_at)
            return Replaced(now, done=True)
        return Replaced(now, present.encoded.write_id == encoded.write_id)

    async def touch(self, key: SessionKey, last_seen_at: float) -> None:
        self.data.now()
        if (record := self.data.sessions.get(key)) is not None:
            record.last_seen_at = max(record.last_seen_at, last_seen_at)

    async def delete(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        now, record = self.data.now(), self.data.sessions.get(key)
        if record is None or expected_version not in (None, record.version):
            return None
        del self.data.sessions[key]
        self.data.ends[key] = reason, now + RETENTION_AFTER_END
        return codec.decode(self._ring, key, record.version, record.encoded.record)

    async def delete_all(self, keys: Sequence[SessionKey], reason: EndReason) -> Deleted:
        deleted = [await self.delete(key, reason) for key in keys]
        return Deleted([session for session in deleted if session is not None])

    async def find(self, index_name: IndexName, value: str) -> Sequence[Session]:
        now, wanted = self.data.now(), set(index.hashes(self._ring, index_name, value))
        found = [
            codec.decode(self._ring, SessionKey(key), record.version, record.encoded.record)
            for key, record in self.data.sessions.items()
            if record.ends_at > now and any(name == index_name and hashed in wanted for name, hashed in record.entries)
        ]
        return [session for session in found if session is not None]

    async def page(self, after: str = "", count: int = 100) -> Page:
        if after and not index.is_session_key(after):
            raise InvalidPosition
        keys = sorted(key for key in self.data.sessions if key > after)
        stored = [await self.get(SessionKey(key)) for key in keys[:count]]
        records = [record for record in stored if not isinstance(record, Missing)]
        return Page(records, keys[count - 1] if len(keys) > count else None)

    async def keys(self, after: str = "") -> KeyPage:
        return KeyPage([SessionKey(key) for key in self.data.sessions], None)

    async def put_end_reason(self, name: str, reason: EndReason) -> None:
        self.data.ends[index.end_reason_name(name)] = reason, self.data.now() + RETENTION_AFTER_END

    async def put_end_reasons(self, names: Sequence[str], reason: EndReason) -> None:
        for name in names:
            await self.put_end_reason(name, reason)

    async def take_end_reason(self, name: str, *, keep: float = 0.0) -> EndReason | None:
        reason, stored = await self.get_end_reason(name), index.end_reason_name(name)
        if reason is not None and keep:
            self.data.ends[stored] = reason, min(self.data.ends[stored][1], self.data.now() + keep)
        else:
            self.data.ends.pop(stored, None)
        return reason

    async def get_end_reason(self, name: str) -> EndReason | None:
        return self.data.ends.at(index.end_reason_name(name), self.data.now())

    async def put_marker(self, name: str, at: float, until: float) -> None:
        now = self.data.now()
        for stored in index.marker_names(self._ring, name):
            before = self.data.markers.at(stored, now)
            kept_until = until if before is None else max(until, self.data.markers[stored][1])
            self.data.markers[stored] = at if before is None else max(at, before), kept_until

    async def get_marker(self, name: str) -> float | None:
        now = self.data.now()
        found = (self.data.markers.at(stored, now) for stored in index.marker_names(self._ring, name))
        return max((at for at in found if at is not None), default=None)

    async def claim_once(self, name: str, until: float) -> bool:
        now, names = self.data.now(), index.claim_names(self._ring, name)
        if any(self.data.claims.at(stored, now) for stored in names):
            return False
        self.data.claims.update(dict.fromkeys(names, (True, until)))
        return True

    async def leave_value(self, name: str, value: bytes, until: float) -> None:
        self.data.now()
        stored = index.value_name(name)
        self.data.values[stored] = one_time_value.seal(self._ring, stored, value), until

    async def take_value(self, name: str) -> bytes | None:
        stored = index.value_name(name)
        sealed = self.data.values.at(stored, self.data.now())
        self.data.values.pop(stored, None)
        return None if sealed is None else one_time_value.unseal(self._ring, stored, sealed)

    async def purge_expired(self) -> int:
        over = self.data.now() - RETENTION_AFTER_END
        expired = [key for key, record in self.data.sessions.items() if record.ends_at <= over]
        for key in expired:
            del self.data.sessions[key]
        return len(expired)

    async def rewrap(self) -> AsyncIterator[Rewrapped]:
        for key in list(self.data.sessions):
            match stored := await self.get(SessionKey(key)):
                case Found(older_key=True):
                    record = self.data.sessions[key]
                    self._write(stored.session, codec.encode(self._ring, stored.session), record.last_seen_at)
                    yield Rewrapped(rewrapped=1)
                case Found():
                    yield Rewrapped(newest=1)
                case KeyRemoved():
                    yield Rewrapped(unreadable=1)

    async def ping(self) -> None:
        self.data.now()

    async def eviction_policy(self) -> str | None:
        self.data.now()
        return "noeviction"

    async def close(self) -> None:
        pass

    def _write(self, session: Session, encoded: codec.Encoded, last_seen_at: float) -> None:
        entries = index.entries(self._ring, session)
        self.data.sessions[session.key] = _Record(session.version, encoded, session.ends_at, last_seen_at, entries)


class MemoryRevocations:
    def __init__(self, data: MemoryData, records: RevocationRecords, limit: int) -> None:
        self._data, self._records, self._limit = data, records, limit

    async def add(self, *revocations: Revocation) -> int:
        now, waiting, added = self._data.now(), self._data.revocations, 0
        for one in revocations:
            if one.id not in waiting:
                if len(waiting) >= self._limit:
                    break
                waiting[one.id] = _Waiting(now + one.turn * TURN, one.until, self._records.seal(one))
            added += 1
        return added

    async def claim(self, count: int, lease: float) -> Sequence[Revocation]:
        now, waiting, claimed = self._data.now(), self._data.revocations, []
        for name in [name for name, entry in waiting.items() if entry.until <= now]:
            del waiting[name]
        due = [(entry.due_at > now, entry.due_at, name) for name, entry in waiting.items()]
        due = [one for one in due if not one[0] or waiting[one[2]].attempts == 0]
        for _, _, name in sorted(due)[:count]:
            entry = waiting[name]
            entry.due_at, entry.attempts = now + lease, entry.attempts + 1
            opened = self._records.open(name, entry.until, entry.attempts, entry.sealed)
            if opened is None:
                await self.postpone(name, MAX_WAIT)
            else:
                claimed.append(opened)
        return claimed

    async def finish(self, revocation_id: str) -> None:
        self._data.now()
        self._data.revocations.pop(revocation_id, None)

    async def postpone(self, revocation_id: str, seconds: float) -> None:
        now = self._data.now()
        if (entry := self._data.revocations.get(revocation_id)) is not None:
            entry.due_at = now + seconds

    async def waiting(self) -> int:
        now = self._data.now()
        return sum(entry.until > now for entry in self._data.revocations.values())


def content_of(data: MemoryData) -> bytes:
    """Every byte that is kept."""
    kept: list[Any] = [data.ends, data.markers, data.claims, data.values]
    sealed = [record.encoded.record for record in data.sessions.values()]
    sealed += [entry.sealed for entry in data.revocations.values()]
    return repr([kept, list(data.sessions)]).encode() + b"".join(sealed)


def _require_key(key: str) -> None:
    if not index.is_session_key(key):
        raise ValueError("a session's key is 43 characters of base64url")
