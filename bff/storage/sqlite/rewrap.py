"""Encrypting all records again under the newest key, while other processes read and write them.

Chunk by chunk, in the order in which the sessions were created. The new index entries of a chunk come first, sorted, so
that a page which gets several of them is written once; then the records, each only in the version that was read. The
entries under older keys stay until their session ends: no lookup needs them any more.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from bff.session.session import SessionKey
from bff.session.store import Found, KeyRemoved, Missing, Rewrapped
from bff.storage import codec, index
from bff.storage.sqlite.group_commit import GroupCommit
from bff.storage.sqlite.session_rows import SessionRows

CHUNK: Final = 40_000  # records; about 30 MB, twice, because the next chunk is prepared meanwhile
PREPARED_AT_ONCE: Final = 50  # records, which take about 2 ms: the loop waits for the writing thread, too
ENTRIES_PER_STEP: Final = 200
RECORDS_PER_STEP: Final = 100

Read = Callable[[str, tuple[Any, ...]], Awaitable[list[Any]]]


@dataclass(slots=True)
class _Chunk:
    """Some records: the versions and new index entries of those under an older key, and the number of the others."""

    after: int
    last: int
    at_end: bool = False
    versions: dict[str, int] = field(default_factory=dict)
    entries: list[tuple[str, str, str]] = field(default_factory=list)
    others: Rewrapped = field(default_factory=Rewrapped)


class Rewrap:
    def __init__(self, writes: GroupCommit, read: Read, rows: SessionRows, *, chunk: int = CHUNK) -> None:
        """`chunk` is the number of records whose entries are sorted together."""
        self._writes, self._read, self._rows, self._ring = writes, read, rows, rows.ring
        self._chunk = chunk

    async def steps(self) -> AsyncIterator[Rewrapped]:
        """Raises StoreUnavailable."""
        chunk = await self._prepare(0)
        while True:
            following = None if chunk.at_end else asyncio.create_task(self._prepare(chunk.last))
            try:
                yield chunk.others
                for first in range(0, len(chunk.entries), ENTRIES_PER_STEP):
                    await self._writes.run(partial(_write_entries, chunk.entries[first : first + ENTRIES_PER_STEP]))
                async for step in self._reseal(chunk):
                    yield step
                if following is None:
                    return
                chunk = await following
            finally:
                if following is not None:
                    following.cancel()

    async def _prepare(self, after: int) -> _Chunk:
        chunk = _Chunk(after, after)
        while not chunk.at_end and len(chunk.versions) < self._chunk:
            rows = await self._read(
                "SELECT rowid, key, version, record FROM session WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (chunk.last, PREPARED_AT_ONCE),
            )
            for row_id, key, version, record in rows:
                chunk.last = row_id
                self._add(chunk, SessionKey(key), version, record)
            chunk.at_end = len(rows) < PREPARED_AT_ONCE
            await asyncio.sleep(0)
        chunk.entries.sort()
        return chunk

    def _add(self, chunk: _Chunk, key: SessionKey, version: int, record: bytes) -> None:
        if self._ring.is_under_newest(record):
            chunk.others += Rewrapped(newest=1)
            return
        match codec.read(self._ring, key, version, record, 0.0, 0.0):
            case Found(session=session):
                chunk.versions[key] = version
                chunk.entries += [(name, hashed, key) for name, hashed in index.keyed_entries(self._ring, session)]
            case KeyRemoved():
                chunk.others += Rewrapped(unreadable=1)
            case Missing():
                pass  # no key makes it readable

    async def _reseal(self, chunk: _Chunk) -> AsyncIterator[Rewrapped]:
        after = chunk.after
        while after < chunk.last:
            rows = await self._read(
                "SELECT rowid, key, version, write_id, record FROM session WHERE rowid > ? AND rowid <= ?"
                " ORDER BY rowid LIMIT ?",
                (after, chunk.last, RECORDS_PER_STEP),
            )
            if not rows:
                return
            after, step, changes, changed = rows[-1][0], Rewrapped(), [], []
            for row_id, key, version, write_id, record in rows:
                if self._ring.is_under_newest(record):
                    step += Rewrapped(newest=chunk.versions.pop(key, 0) and 1)
                elif chunk.versions.pop(key, None) != version:
                    changed.append(SessionKey(key))
                elif (resealed := codec.reseal(self._ring, SessionKey(key), record)) is not None:
                    changes.append((resealed, row_id, key, version, write_id))
            if changes:
                refused = await self._writes.run(partial(_write_records, changes))
                step += Rewrapped(rewrapped=len(changes) - len(refused))
                changed += refused
            for key in changed:
                step += await self._writes.run(partial(self._rows.rewrap, key=key))
            yield step


def _write_entries(entries: list[tuple[str, str, str]], connection: sqlite3.Connection) -> int:
    statement = "INSERT OR IGNORE INTO session_index (name, hash, key) VALUES (?, ?, ?)"
    return connection.executemany(statement, entries).rowcount


def _write_records(changes: list[tuple[bytes, int, str, int, str]], connection: sqlite3.Connection) -> list[SessionKey]:
    """Returns the keys of those that another write has changed or deleted since they were read."""
    statement = "UPDATE session SET record = ? WHERE rowid = ? AND key = ? AND version = ? AND write_id = ?"
    return [SessionKey(change[2]) for change in changes if not connection.execute(statement, change).rowcount]
