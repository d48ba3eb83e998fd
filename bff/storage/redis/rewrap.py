"""Encrypting all records again under the newest key, while other processes read and write them.

The new index entries of a record come before it, as always. Those under older keys expire, or are removed by a lookup.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.session import SessionKey
from bff.session.store import Found, KeyRemoved, Missing, Rewrapped
from bff.storage import codec, index
from bff.storage.redis import scripts
from bff.storage.redis.call import Call
from bff.storage.redis.client import RedisLink
from bff.storage.redis.record_format import entries_digest, expiry_ms, parsed
from bff.storage.redis.session_scan import SessionScan

STEP: Final = 100  # records at a time
ATTEMPTS: Final = 5  # for a record that concurrent writes keep changing


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
        step, entries, records, rewrapped = Rewrapped(), list[Call](), list[Call](), list[SessionKey]()
        for key, name, reply in zip(keys, names, await self._ask(reads), strict=True):
            version, write_id, record = parsed(tuple, reply)
            if version is None or record is None:
                continue
            if self._ring.is_under_newest(record):
                step += Rewrapped(newest=1)
                continue
            match codec.read(self._ring, key, int(version), record, 0.0, 0.0):
                case Found(session=session):
                    expiry, resealed = expiry_ms(session), codec.reseal(self._ring, key, record)
                    for index_name, hashed in index.keyed_entries(self._ring, session):
                        entry = f"{self._prefix}by-{index_name}:{hashed}"
                        entries.append(Call(entry, scripts.INDEX_ADD, keys=(entry,), args=(key, expiry)))
                    digest = entries_digest(session, index.entries(self._ring, session))
                    args = (version, write_id, resealed or record, digest)
                    records.append(Call(name, scripts.REWRAP, keys=(name,), args=args))
                    rewrapped.append(key)
                case KeyRemoved():
                    step += Rewrapped(unreadable=1)
                case Missing():
                    pass  # no key makes it readable
        await self._ask(entries)
        replies = await self._ask(records)
        changed = [key for key, reply in zip(rewrapped, replies, strict=True) if reply != 1]
        return step + Rewrapped(rewrapped=len(rewrapped) - len(changed)), changed

    async def _ask(self, calls: list[Call]) -> list[Any]:
        replies = await self._link.ask_together(calls)
        for reply in replies:
            if isinstance(reply, StoreUnavailable):
                raise reply
        return replies
