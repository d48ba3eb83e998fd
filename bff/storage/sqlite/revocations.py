"""The revocation queue in SQLite."""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bff.session.revocation import MAX_WAIT, TURN, Revocation
from bff.storage.revocation_record import RevocationRecords
from bff.storage.sqlite.group_commit import GroupCommit

_ANYTHING_TO_DO = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM revocation WHERE due_at <= ?)"
    " OR EXISTS (SELECT 1 FROM revocation WHERE attempts = 0)"
)

Read = Callable[[str, tuple[Any, ...]], Awaitable[list[Any]]]


class SqliteRevocations:
    """A RevocationQueue (bff/session/revocation.py) of at most `limit`. `clock` is in seconds since the epoch."""

    def __init__(
        self, writes: GroupCommit, read: Read, records: RevocationRecords, clock: Callable[[], float], *, limit: int
    ) -> None:
        self._writes, self._read, self._clock = writes, read, clock
        self._records, self._limit = records, limit

    async def add(self, *revocations: Revocation) -> int:
        now = self._clock()
        rows = [
            (revocation.id, now + revocation.turn * TURN, revocation.until, self._records.seal(revocation))
            for revocation in revocations
        ]

        def write(connection: sqlite3.Connection) -> int:
            ((waiting,),) = connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM revocation LIMIT ?)", (self._limit,)
            ).fetchall()
            accepted = rows[: max(0, self._limit - waiting)]
            connection.executemany(
                "INSERT OR IGNORE INTO revocation (id, due_at, until, attempts, record) VALUES (?, ?, ?, 0, ?)",
                accepted,
            )
            return len(accepted)

        return await self._writes.run(write)

    async def claim(self, count: int, lease: float) -> Sequence[Revocation]:
        now = self._clock()
        # Usually there is nothing to do; checking with a read avoids a write.
        if not await self._read(_ANYTHING_TO_DO, (now,)):
            return ()

        def write(connection: sqlite3.Connection) -> list[Any]:
            connection.execute("DELETE FROM revocation WHERE until <= ?", (now,))
            ids = connection.execute(
                "SELECT id FROM revocation WHERE due_at <= ? ORDER BY due_at, id LIMIT ?", (now, count)
            ).fetchall()
            ids += connection.execute(
                "SELECT id FROM revocation WHERE attempts = 0 AND due_at > ? ORDER BY due_at LIMIT ?",
                (now, count - len(ids)),
            ).fetchall()
            return connection.execute(
                "UPDATE revocation SET due_at = ?, attempts = attempts + 1"
                " WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, until, attempts, record",
                (now + lease, json.dumps([name for (name,) in ids])),
            ).fetchall()

        claimed = []
        for name, until, attempts, record in await self._writes.run(write):
            revocation = self._records.open(name, until, attempts, record)
            if revocation is None:  # sealed under a key that only another replica has
                await self.postpone(name, MAX_WAIT)
            else:
                claimed.append(revocation)
        return claimed

    async def finish(self, revocation_id: str) -> None:
        await self._writes.run(
            lambda connection: connection.execute("DELETE FROM revocation WHERE id = ?", (revocation_id,)).rowcount
        )

    async def postpone(self, revocation_id: str, seconds: float) -> None:
        due_at = self._clock() + seconds
        await self._writes.run(
            lambda connection: (
                connection.execute("UPDATE revocation SET due_at = ? WHERE id = ?", (due_at, revocation_id)).rowcount
            )
        )

    async def waiting(self) -> int:
        ((count,),) = await self._read("SELECT count(*) FROM revocation WHERE until > ?", (self._clock(),))
        return int(count)
