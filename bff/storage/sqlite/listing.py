"""All records in SQLite, the newest first, a page at a time."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from bff.session.keyring import KeyRing
from bff.session.session import SessionKey
from bff.session.store import InvalidPosition, KeyPage, Missing, Page
from bff.storage import codec
from bff.storage.sqlite.expiry import RETENTION_AFTER_END

PAGE: Final = 100  # records read and decoded at a time
KEYS_AT_ONCE: Final = 1_000

_ROWID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_NEWEST: Final = str(10**18 - 1)

Read = Callable[[str, tuple[Any, ...]], Awaitable[list[Any]]]


class Listing:
    """A position is the row id of the last record: each session gets a higher one than those before."""

    def __init__(self, read: Read, ring: KeyRing) -> None:
        self._read, self._ring = read, ring

    async def page(self, after: str, count: int, now: float) -> Page:
        rows = await self._read(
            "SELECT rowid, key, version, record, last_seen_at FROM session WHERE rowid < ? AND +ends_at > ?"
            " ORDER BY rowid DESC LIMIT ?",
            (_row_id(after), now - RETENTION_AFTER_END, count),
        )
        stored = (
            codec.read(self._ring, SessionKey(key), version, record, now, seen_at)
            for _, key, version, record, seen_at in rows
        )
        records = [record for record in stored if not isinstance(record, Missing)]
        return Page(records, str(rows[-1][0]) if len(rows) == count else None)

    async def keys(self, after: str) -> KeyPage:
        rows = await self._read(
            "SELECT key FROM session WHERE key > ? ORDER BY key LIMIT ?",
            (after, KEYS_AT_ONCE),
        )
        keys = [SessionKey(key) for (key,) in rows]
        return KeyPage(keys, keys[-1] if len(keys) == KEYS_AT_ONCE else None)


def _row_id(position: str) -> int:
    if not _ROWID.fullmatch(position or _NEWEST):
        raise InvalidPosition
    return int(position or _NEWEST)
