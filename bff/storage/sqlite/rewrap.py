"""Encrypting all records again under the newest key, while other processes read and write them.

Chunk by chunk, in the order in which the sessions were created. The new index entries of a chunk come first, sorted, so
that a page which gets several of them is written once; then the records, each only in the version that was read. The
entries under older keys stay until their session ends: no lookup needs them any more.
"""

import asyncio
import sqlite3
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from bff.session.session import SessionKey
from bff.session.store import KeyRemoved, Missing, Rewrapped
from bff.storage import codec, index
from bff.storage.sqlite.group_commit import GroupCommit
from bff.storage.sqlite.session_rows import SessionRows
from bff.storage.sqlite.sorted_entries import Entry, SortedEntries

CHUNK: Final = 150_000  # records; 55 MB, twice, because the next chunk is prepared meanwhile
PREPARED_AT_ONCE: Final = 50  # records, which take about a millisecond: the loop waits for the writing thread, too
ENTRIES_PER_STEP: Final = 400
RECORDS_PER_STEP: Final = 100

Read = Callable[[str, tuple[Any, ...]], Awaitable[list[Any]]]
Change = tuple[bytes, int, str, int, str]


@dataclass(slots=True)
class _Chunk:
    """Some records: those under an older key with their new index entries, and the number of the others."""

    after: int
    last: int
    at_end: bool = False
    row_ids: "array[int]" = field(init=False, default_factory=lambda: array("q"))
    contents: "array[int]" = field(init=False, default_factory=lambda: array("q"))  # hashes of key and version
    entries: SortedEntries = field(init=False, default_factory=SortedEntries)
    others: Rewrapped = field(init=False, default_factory=Rewrapped)

    def prepared(self) -> Iterator[tuple[int, int]]:
        return zip(self.row_ids, self.contents, strict=True)


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
                for entries in chunk.entries.take(ENTRIES_PER_STEP):
                    await self._writes.run(partial(_write_entries, entries))
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
        while not chunk.at_end and len(chunk.row_ids) < self._chunk:
            rows = await self._read(
                "SELECT rowid, key, version, record FROM session WHERE rowid > ? ORDER BY rowid LIMIT ?",
                (chunk.last, PREPARED_AT_ONCE),
            )
            for row_id, key, version, record in rows:
                chunk.last = row_id
                self._add(chunk, row_id, SessionKey(key), version, record)
            chunk.at_end = len(rows) < PREPARED_AT_ONCE
            await asyncio.sleep(0)
        return chunk

    def _add(self, chunk: _Chunk, row_id: int, key: SessionKey, version: int, record: bytes) -> None:
        if self._ring.is_under_newest(record):
            chunk.others += Rewrapped(newest=1)
            return
        match codec.read_indexed(self._ring, key, version, record):
            case KeyRemoved():
                chunk.others += Rewrapped(unreadable=1)
            case Missing():
                pass  # no key makes it readable
            case values:
                chunk.row_ids.append(row_id)
                chunk.contents.append(hash((key, version)))
                for name, value in values:
                    chunk.entries.add(name, index.newest_hash(self._ring, name, value), key)

    async def _reseal(self, chunk: _Chunk) -> AsyncIterator[Rewrapped]:
        after, prepared = chunk.after, chunk.prepared()
        known, content = next(prepared, (0, 0))
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
                while known < row_id:
                    known, content = next(prepared, (chunk.last + 1, 0))
                if self._ring.is_under_newest(record):
                    step += Rewrapped(newest=int(known == row_id))
                elif known != row_id or content != hash((key, version)):
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


def _write_entries(entries: list[Entry], connection: sqlite3.Connection) -> int:
    statement = "INSERT OR IGNORE INTO session_index (name, hash, key) VALUES (?, ?, ?)"
    return connection.executemany(statement, entries).rowcount


def _write_records(changes: list[Change], connection: sqlite3.Connection) -> list[SessionKey]:
    """Returns the keys of those that another write has changed or deleted since they were read."""
    statement = "UPDATE session SET record = ? WHERE rowid = ? AND key = ? AND version = ? AND write_id = ?"
    if connection.executemany(statement, changes).rowcount == len(changes):
        return []
    written = "SELECT 1 FROM session WHERE rowid = ? AND key = ? AND record = ?"
    return [
        SessionKey(key)
        for record, row_id, key, _, _ in changes
        if not connection.execute(written, (row_id, key, record)).fetchall()
    ]
