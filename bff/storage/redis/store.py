"""The store for many replicas.

Redis 6.2 or newer, as one server, with Sentinel, or as a Cluster. A record and its related keys share a slot by their
hash tag; each write is one Lua script, idempotent by a write id. Index entries are in other slots: added before the
record and removed after it, so an entry may briefly point to nothing, but no record lacks its entries.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from secrets import token_urlsafe
from typing import Any, Final, TypeVar

from redis.exceptions import ResponseError

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.revocation import RevocationQueue
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Deleted, IndexName, KeyPage, Page, Replaced, Rewrapped
from bff.session.stored import Found, Missing, StoredSession, StoredView
from bff.storage import codec, index
from bff.storage.credentials import ChangingCredentials
from bff.storage.decoded_records import DecodedRecords
from bff.storage.limits import StoreLimits
from bff.storage.redis import eviction, scripts
from bff.storage.redis.call import Call
from bff.storage.redis.client import SCANNED, RedisLink
from bff.storage.redis.failures import command_rejected
from bff.storage.redis.many_records import ManyRecords
from bff.storage.redis.one_time_value import OneTimeValues
from bff.storage.redis.record_format import RETENTION_AFTER_END, entries_digest, expiry_ms, parsed, server_time
from bff.storage.redis.revocations import RedisRevocations
from bff.storage.redis.rewrap import Rewrap
from bff.storage.redis.session_scan import SessionScan
from bff.storage.redis.topology import servers_of
from bff.storage.redis.url import parse_redis_url
from bff.storage.timeouts import RedisTimeouts

PAGE: Final = 100  # records read and decoded at a time
SHOWN: Final = "shown"  # the taker of an end reason that other callers may still read
DELETED_COPY_LIFETIME: Final = 30_000  # ms in which a repeated destructive write is recognised
ENTRY_GRACE: Final = 60_000  # ms after which an index entry without a record cannot belong to a sign-in in progress

_T = TypeVar("_T")


class RedisStore:
    """A SessionStore (bff/session/store.py). Connects on first use."""

    def __init__(self, link: RedisLink, ring: KeyRing, prefix: str, limits: StoreLimits = StoreLimits()) -> None:
        self._link, self._ring, self._prefix = link, ring, prefix
        self._decoded, self._values = DecodedRecords(ring, limits.cache), OneTimeValues(ring, prefix)
        self._scan, self._many = SessionScan(link, prefix), ManyRecords(link, self._decoded, self._record)
        self.revocations: RevocationQueue = RedisRevocations(link, ring, prefix, limit=limits.revocations)

    @classmethod
    def from_url(
        cls,
        url: str,
        ring: KeyRing,
        timeouts: RedisTimeouts = RedisTimeouts(),
        limits: StoreLimits = StoreLimits(),
        credentials: ChangingCredentials | None = None,
    ) -> "RedisStore":
        """Raises ConfigurationError for an invalid URL."""
        target = parse_redis_url(url)
        return cls(RedisLink(servers_of(target, timeouts, credentials), timeouts), ring, target.prefix, limits)

    async def now(self) -> float:
        return parsed(server_time, await self._run(Call(self._prefix, None, args=("TIME",), write=False)))

    async def create(self, session: Session) -> None:
        index.require_session_key(session)
        encoded = codec.encode(self._ring, session)
        entries = index.entries(self._ring, session)
        await self._add_entries(session, entries)
        args = (session.version, encoded.write_id, encoded.record, entries_digest(session, entries), expiry_ms(session))
        if await self._on_record(scripts.CREATE, session.key, *args) != 1:
            raise StoreUnavailable("A session with this key already exists.")

    async def get(self, key: SessionKey) -> StoredSession:
        if not index.is_session_key(key):
            return Missing(await self.now())
        name = self._record(key)
        call = Call(name, scripts.GET, keys=(name,), args=(codec.RECORD_LIMIT,), write=False)
        try:
            reply = await self._link.read(call)
        except ResponseError as error:
            if str(error).startswith("WRONGTYPE"):  # the value at that key is not a record of ours
                return Missing(await self.now())
            raise command_rejected(error) from None
        return parsed(lambda answer: self._stored(key, answer), reply)

    async def get_many(self, keys: Sequence[SessionKey]) -> Sequence[StoredView | BaseException]:
        return await self._many.get(keys, self.get, self.now)

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        index.require_session_key(session)
        session = replace(session, version=expected_version + 1)
        encoded = codec.encode(self._ring, session)
        entries = index.entries(self._ring, session)
        args = (expected_version, session.version, encoded.write_id, encoded.record)
        args_of_index = (entries_digest(session, entries), expiry_ms(session))
        reply = await self._on_record(scripts.REPLACE, session.key, *args, *args_of_index, 0)
        if parsed(lambda answer: answer[2], reply) == b"index":
            await self._add_entries(session, entries)
            reply = await self._on_record(scripts.REPLACE, session.key, *args, *args_of_index, 1)
        return parsed(lambda answer: Replaced(server_time(answer), answer[2] == b"done"), reply)

    async def touch(self, key: SessionKey, last_seen_at: float) -> None:
        if index.is_session_key(key):
            name = self._record(key)
            # A failover that loses this moves an idle timeout by a minute, so it does not wait for a replica.
            await self._run(Call(name, scripts.TOUCH, keys=(name,), args=(repr(last_seen_at),), write=False))

    async def delete(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        if not index.is_session_key(key):
            return None
        reply = await self._run(self._deletion(key, reason, expected_version))
        deleted = None if reply is None else self._deleted(key, reply)
        if deleted is not None:
            await self._remove_entries([deleted])
        return deleted

    async def delete_all(self, keys: Sequence[SessionKey], reason: EndReason) -> Deleted:
        known = [key for key in keys if index.is_session_key(key)]
        replies = await self._link.ask_together([self._deletion(key, reason, None) for key in known])
        sessions, complete = [], True
        for key, reply in zip(known, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                complete = False
            elif reply is not None and (session := self._deleted(key, reply)) is not None:
                sessions.append(session)
        await self._remove_entries(sessions)
        return Deleted(sessions, complete)

    async def put_end_reasons(self, names: Sequence[str], reason: EndReason) -> None:
        replies = await self._link.ask_together([self._end_reason(name, reason) for name in names])
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply

    async def put_end_reason(self, name: str, reason: EndReason) -> None:
        await self._run(self._end_reason(name, reason))

    async def take_end_reason(self, name: str, *, keep: float = 0.0) -> EndReason | None:
        reason_key = self._end_reason_key(name)
        args = (SHOWN, int(keep * 1000)) if keep else (token_urlsafe(12), DELETED_COPY_LIFETIME)
        reply = await self._run(Call(reason_key, scripts.TAKE_END_REASON, keys=(reason_key,), args=args))
        return None if reply is None else parsed(lambda answer: index.end_reason(answer.decode()), reply)

    async def get_end_reason(self, name: str) -> EndReason | None:
        reason_key = self._end_reason_key(name)
        reply = await self._run(Call(reason_key, None, args=("HMGET", reason_key, "reason", "taker"), write=False))

        def read(answer: Any) -> EndReason | None:
            # A removed end reason is kept a while, for a caller that has to retry.
            there = answer[0] and answer[1] in (None, SHOWN.encode())
            return index.end_reason(answer[0].decode()) if there else None

        return parsed(read, reply)

    async def page(self, after: str = "", count: int = PAGE) -> Page:
        keys, following = await self._scan.keys(after, min(count, PAGE))
        stored = await asyncio.gather(*(self.get(key) for key in keys))
        for key in keys:
            self._decoded.forget(key)  # a page is read once
        return Page([record for record in stored if not isinstance(record, Missing)], following)

    async def keys(self, after: str = "") -> KeyPage:
        return KeyPage(*await self._scan.keys(after, SCANNED))

    async def find(self, index_name: IndexName, value: str) -> Sequence[Session]:
        sessions: dict[SessionKey, Session] = {}
        for hashed in index.hashes(self._ring, index_name, value):
            name = self._entries(index_name, hashed)
            reply = await self._run(Call(name, None, args=("HGETALL", name), write=False))
            pairs = parsed(lambda answer: dict(zip(answer[::2], answer[1::2], strict=True)), reply)
            keys = {SessionKey(key.decode("latin-1")): (key, entry) for key, entry in pairs.items()}
            stale: list[bytes] = []
            wanted = list(keys.items())
            for page in (wanted[first : first + PAGE] for first in range(0, len(wanted), PAGE)):
                stored_sessions = await asyncio.gather(*(self.get(key) for key, _ in page))
                for (key, seen), stored in zip(page, stored_sessions, strict=True):
                    if not isinstance(stored, Found) or not index.has_value(stored.session, index_name, value):
                        stale += seen
                    elif stored.session.ends_at > stored.now:
                        sessions[key] = stored.session
            if stale:
                await self._run(Call(name, scripts.INDEX_DROP, keys=(name,), args=(ENTRY_GRACE, *stale), write=False))
        return list(sessions.values())

    async def put_marker(self, name: str, at: float, until: float) -> None:
        args = (repr(at), int(until * 1000))
        keys = self._markers(name)
        await asyncio.gather(*(self._run(Call(key, scripts.PUT_MARKER, keys=(key,), args=args)) for key in keys))

    async def get_marker(self, name: str) -> float | None:
        calls = (Call(marker, None, args=("GET", marker), write=False) for marker in self._markers(name))
        replies = await asyncio.gather(*(self._run(call) for call in calls))
        return max((parsed(float, reply) for reply in replies if reply is not None), default=None)

    async def claim_once(self, name: str, until: float) -> bool:
        for hashed in index.claim_names(self._ring, name):
            key = f"{self._prefix}claim:{hashed}"
            args = (token_urlsafe(12), int(until * 1000))
            if await self._run(Call(key, scripts.CLAIM_ONCE, keys=(key,), args=args)) != 1:
                return False
        return True

    async def leave_value(self, name: str, value: bytes, until: float) -> None:
        await self._run(self._values.leaving(name, value, until))

    async def take_value(self, name: str) -> bytes | None:
        reply = await self._run(self._values.taking(name))
        return None if reply is None else parsed(lambda answer: self._values.taken(name, answer), reply)

    async def purge_expired(self) -> int:
        return 0  # Redis expires by itself

    def rewrap(self) -> AsyncIterator[Rewrapped]:
        return Rewrap(self._link, self._ring, self._prefix, self._scan).steps()

    async def ping(self) -> None:
        """Writes to some server. For a Cluster one responding server suffices: the others fail separately."""
        for attempt in range(3):
            name = f"{self._prefix}write-probe:{token_urlsafe(4)}"
            try:
                await self._run(Call(name, None, args=("SET", name, "1", "PX", 1000), write=False))
            except StoreUnavailable:
                if attempt == 2:
                    raise
            else:
                return

    async def eviction_policy(self) -> str | None:
        return eviction.policy_of(await self._link.ask_each(eviction.QUERIES))

    async def close(self) -> None:
        await self._link.close()

    # --- names: the braces keep the keys of one session in one slot ---

    def _record(self, key: str) -> str:
        return f"{self._prefix}{{{key}}}"

    def _end_reason_key(self, name: str) -> str:
        return f"{self._record(index.end_reason_name(name))}:end"

    def _entries(self, index_name: IndexName, hashed: str) -> str:
        return f"{self._prefix}by-{index_name}:{hashed}"

    def _markers(self, name: str) -> list[str]:
        return [f"{self._prefix}marker:{hashed}" for hashed in index.marker_names(self._ring, name)]

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _run(self, call: Call) -> Any:
        return await self._link.ask(call)

    async def _on_record(self, script: scripts.Script, key: SessionKey, *args: str | bytes | int) -> Any:
        name = self._record(key)
        return await self._run(Call(name, script, keys=(name,), args=args))

    async def _add_entries(self, session: Session, entries: tuple[tuple[IndexName, str], ...]) -> None:
        names = [self._entries(index_name, hashed) for index_name, hashed in entries]
        args = (session.key, expiry_ms(session))
        await asyncio.gather(*(self._run(Call(name, scripts.INDEX_ADD, keys=(name,), args=args)) for name in names))

    def _deletion(self, key: SessionKey, reason: EndReason, expected_version: int | None) -> Call:
        name, version = self._record(key), "" if expected_version is None else expected_version
        args = (token_urlsafe(12), reason.value, version, int(RETENTION_AFTER_END * 1000), DELETED_COPY_LIFETIME)
        return Call(name, scripts.DELETE, keys=(name, f"{name}:deleted", f"{name}:end"), args=args)

    def _deleted(self, key: SessionKey, reply: Any) -> Session | None:
        return parsed(lambda answer: codec.decode(self._ring, key, int(answer[0]), answer[1]), reply)

    def _end_reason(self, name: str, reason: EndReason) -> Call:
        reason_key = self._end_reason_key(name)
        args = (reason.value, int(RETENTION_AFTER_END * 1000))
        return Call(reason_key, scripts.PUT_END_REASON, keys=(reason_key,), args=args)

    async def _remove_entries(self, sessions: Sequence[Session]) -> None:
        """Best effort: remaining entries are ignored and removed by `find`."""
        keys: dict[str, list[SessionKey]] = {}
        for session in sessions:
            for index_name in index.INDEX_NAMES:
                if value := index.indexed_value(session, index_name):
                    for hashed in index.hashes(self._ring, index_name, value):
                        keys.setdefault(self._entries(index_name, hashed), []).append(session.key)
        calls = (Call(name, None, args=("HDEL", name, *entries), write=False) for name, entries in keys.items())
        await self._link.ask_together(list(calls))

    def _stored(self, key: SessionKey, answer: Any) -> StoredSession:
        now, (version, record, last_seen_at) = server_time(answer), answer[2:]
        if version is None or record is None:
            self._decoded.forget(key)
            return Missing(now)
        return self._decoded.read(key, int(version), record, now, float(last_seen_at or 0))
