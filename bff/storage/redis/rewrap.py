"""Encrypting all records again under the newest key, while other processes read and write them.

The new index entries of a record come before it, as always. Those under older keys expire, or are removed by a lookup.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.session import Session, SessionKey
from bff.session.store import Found, IndexName, KeyRemoved, Missing, Rewrapped
from bff.storage import codec, index
from bff.storage.redis import scripts
from bff.storage.redis.call import Call
from bff.storage.redis.client import RedisLink
from bff.storage.redis.record_format import entries_digest, expiry_ms, parsed
from bff.storage.redis.session_scan import SessionScan

STEP: Final = 100  # records at a time
ATTEMPTS: Final = 5  # for a record that concurrent writes keep changing


@dataclass(frozen=True, slots=True)
class _Older:
    """A record under an older key, as it was read."""

    session: Session
    name: str
    version: bytes
    write_id: bytes
    record: bytes


class Rewrap:
    def __init__(self, link: RedisLink, ring: KeyRing, prefix: str, scan: SessionScan) -> None:
        self._link, self._ring, self._prefix, self._scan = link, ring, prefix, scan

    async def steps(self) -> AsyncIterator[Rewrapped]:
        """Raises StoreUnavailable."""
        position: str | None = ""
        while position is not None:
            keys, position = await self._scan.keys(position, STEP)
            step, changed = await self._rewrap(keys)
            for _ in range(ATTEMPTS - 1):
                if changed:
                    again, changed = await self._rewrap(changed)
                    step += again
            yield step + Rewrapped(changing=len(changed))

    async def _rewrap(self, keys: Sequence[SessionKey]) -> tuple[Rewrapped, list[SessionKey]]:
        """Also the keys of the records that were changed between reading and writing."""
        names = [f"{self._prefix}{{{key}}}" for key in keys]
        reads = [Call(name, None, args=("HMGET", name, "v", "w", "r"), write=False) for name in names]
        step, older = Rewrapped(), list[_Older]()
        for key, name, reply in zip(keys, names, await self._ask(reads), strict=True):
            version, write_id, record = parsed(tuple, reply)
            if version is None or record is None:
                continue
            if self._ring.is_under_newest(record):
                step += Rewrapped(newest=1)
                continue
            match codec.read(self._ring, key, int(version), record, 0.0, 0.0):
                case Found(session=session):
                    older.append(_Older(session, name, version, write_id, record))
                case KeyRemoved():
                    step += Rewrapped(unreadable=1)
                case Missing():
                    pass  # no key makes it readable
        if not self._link.multi_key:
            await self._ask([call for record in older for call in self._entries(record)])
        replies = await self._ask([self._record(record) for record in older])
        changed = [record.session.key for record, reply in zip(older, replies, strict=True) if reply != 1]
        return step + Rewrapped(rewrapped=len(older) - len(changed)), changed

    def _record(self, older: _Older) -> Call:
        session, entries = older.session, index.entries(self._ring, older.session)
        resealed = codec.reseal(self._ring, session.key, older.record) or older.record
        keys = [older.name]
        if self._link.multi_key:  # one script, instead of one for each entry, in Redis's only thread
            keys += [self._entry(name, hashed) for name, hashed in entries if name != "id"]
        digest, expiry = entries_digest(session, entries), expiry_ms(session)
        args = (older.version, older.write_id, resealed, digest, session.key, expiry)
        return Call(older.name, scripts.REWRAP, keys=tuple(keys), args=args)

    def _entries(self, older: _Older) -> list[Call]:
        args = (older.session.key, expiry_ms(older.session))
        names = [self._entry(name, hashed) for name, hashed in index.keyed_entries(self._ring, older.session)]
        return [Call(name, scripts.INDEX_ADD, keys=(name,), args=args) for name in names]

    def _entry(self, index_name: IndexName, hashed: str) -> str:
        return f"{self._prefix}by-{index_name}:{hashed}"

    async def _ask(self, calls: list[Call]) -> list[Any]:
        replies = await self._link.ask_together(calls)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies
