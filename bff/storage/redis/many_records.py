"""Reads many records that are looked at again and again: first the versions, then what has changed.

A record is some hundred times as large as its version. What this process has read before is in the cache of decrypted
records, and with an equal version it is the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from bff.errors import StoreUnavailable
from bff.session.session import SessionKey
from bff.session.store import StoredSession, StoredView, Viewed
from bff.storage.decoded_records import DecodedRecords
from bff.storage.redis.call import Call
from bff.storage.redis.client import RedisLink


class ManyRecords:
    def __init__(self, link: RedisLink, decoded: DecodedRecords, name_of: Callable[[SessionKey], str]) -> None:
        """`name_of` returns the Redis key of a record."""
        self._link, self._decoded, self._name_of = link, decoded, name_of

    async def get(
        self,
        keys: Sequence[SessionKey],
        get_one: Callable[[SessionKey], Awaitable[StoredSession]],
        store_clock: Callable[[], Awaitable[float]],
    ) -> Sequence[StoredView | BaseException]:
        """As `SessionRecords.get_many`."""
        unchanged = await self._unchanged(keys, store_clock)
        others = [key for key in keys if key not in unchanged]
        read = await asyncio.gather(*(get_one(key) for key in others), return_exceptions=True)
        stored: dict[SessionKey, StoredView | BaseException] = {**unchanged, **dict(zip(others, read, strict=True))}
        return [stored[key] for key in keys]

    async def _unchanged(
        self, keys: Sequence[SessionKey], store_clock: Callable[[], Awaitable[float]]
    ) -> dict[SessionKey, Viewed]:
        known = {key: view for key in keys if (view := self._decoded.known(key)) is not None}
        if not known:
            return {}
        try:
            now = await store_clock()
        except StoreUnavailable:
            return {}  # each is asked for alone, and has its own error
        names = map(self._name_of, known)
        calls = [Call(name, None, args=("HMGET", name, "v", "s"), write=False) for name in names]
        replies = await self._link.ask_together(calls)
        return {
            key: Viewed(now, view, float(reply[1] or 0), view.older_key)
            for (key, view), reply in zip(known.items(), replies, strict=True)
            if isinstance(reply, list) and reply[0] == str(view.version).encode()
        }
