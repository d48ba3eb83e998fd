"""The purge: deletes what has expired, in steps so short that other writes run between them.

A step ends after `STEP_TIME`, however slow the disk or the machine is. The next one waits until the step's pages are
in the database file, so that the log stays short and no other write has to copy it.

Sessions, one-time values and revocations are found by an index on their time. The other tables are swept: a part of
them at each purge, in the order of their keys. Those keys are hashes, so that rows which expire together lie anywhere:
each deletion by time would write a page of its own, while a sweep writes a page once for all its expired rows. The same
holds for the index entries of purged sessions; until they are swept, lookups ignore them.

Free pages are used again, and the file does not shrink: moving pages at its end would write more than the purge.
"""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from bff.storage.index import INDEX_NAMES
from bff.storage.sqlite.checkpoints import Checkpoints
from bff.storage.sqlite.expiry import RETENTION_AFTER_END
from bff.storage.sqlite.group_commit import GroupCommit

STEP_TIME: Final = 0.002  # seconds of a transaction before its commit
SESSIONS_PER_STEP: Final = 50  # at most; each is about a page, which the commit writes
SESSIONS_AT_ONCE: Final = 5  # between two looks at the clock
ROWS_PER_STEP: Final = 100  # rows that a sweep looks at between two looks at the clock
STATEMENTS_PER_STEP: Final = 5
SLICES_PER_PURGE: Final = 6  # of each table's 64, so that purges every five minutes see all rows within an hour
WORTH_A_SWEEP: Final = 0.25  # share of index entries without a record at which the sweep goes on

_FIRST: Final = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"  # of base64url, in ASCII order
_SWEPT: Final = ("end_reason", "claim", "marker")
_PURGE_BY_TIME: Final = (
    "DELETE FROM one_time_value WHERE name IN"
    " (SELECT name FROM one_time_value WHERE until <= ? ORDER BY until LIMIT ?)",
    "DELETE FROM revocation WHERE id IN (SELECT id FROM revocation WHERE until <= ? ORDER BY until LIMIT ?)",
)

_Position = tuple[str, ...]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Swept:
    """What was looked at and deleted; `last` is the last row, or None at the end of the slice."""

    examined: int
    deleted: int
    last: _Position | None


class Purge:
    """The sweeps begin at a random slice, so that restarts do not leave out the last ones."""

    def __init__(
        self,
        writes: GroupCommit,
        checkpoints: Checkpoints,
        *,
        first_slice: int | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic` is in seconds."""
        self._writes, self._checkpoints, self._monotonic = writes, checkpoints, monotonic
        self._slice = secrets.randbelow(len(_FIRST)) if first_slice is None else first_slice
        self._entry_slice = self._slice * len(INDEX_NAMES)

    async def run(self, now: float) -> int:
        """Returns how many sessions were purged. `now` is in seconds since the epoch. Raises StoreUnavailable."""
        purged = await self._repeat(partial(purge_sessions, now=now), SESSIONS_AT_ONCE, SESSIONS_PER_STEP)
        for statement in _PURGE_BY_TIME:
            delete = partial(_purge_by_time, statement=statement, now=now)
            await self._repeat(delete, ROWS_PER_STEP, ROWS_PER_STEP * STATEMENTS_PER_STEP)
        for _ in range(SLICES_PER_PURGE):
            first = _FIRST[self._slice % len(_FIRST)]
            for table in _SWEPT:
                await self._sweep(partial(sweep_expired, table=table, first=first, now=now), (first,))
            self._slice += 1
        await self._sweep_entries()
        return purged

    async def _sweep_entries(self) -> None:
        """One slice of the index entries, and the next ones while many have no record: after a large purge, all."""
        examined = deleted = 0
        for _ in range(len(_FIRST) * len(INDEX_NAMES)):
            name = INDEX_NAMES[self._entry_slice % len(INDEX_NAMES)]
            first = _FIRST[self._entry_slice // len(INDEX_NAMES) % len(_FIRST)]
            self._entry_slice += 1
            swept = await self._sweep(partial(sweep_entries, name=name, first=first), (first, ""))
            examined, deleted = examined + swept.examined, deleted + swept.deleted
            if deleted < WORTH_A_SWEEP * max(1, examined):
                break

    async def _repeat(self, delete: Callable[[sqlite3.Connection], int], at_once: int, in_step: int) -> int:
        """`delete` deletes `at_once` rows, or the last ones. A step deletes `in_step` rows at most."""

        def step(connection: sqlite3.Connection) -> tuple[int, bool]:
            deleted, ends_at = 0, self._monotonic() + STEP_TIME
            while True:
                last = delete(connection)
                deleted += last
                if last < at_once or deleted >= in_step or self._monotonic() >= ends_at:
                    return deleted, last < at_once

        total, done = 0, False
        while not done:
            deleted, done = await self._step(step)
            total += deleted
        return total

    async def _sweep(self, sweep: Callable[[sqlite3.Connection, _Position], Swept], after: _Position) -> Swept:
        """Sweeps one slice."""

        def step(connection: sqlite3.Connection, after: _Position) -> Swept:
            total, ends_at = Swept(0, 0, after), self._monotonic() + STEP_TIME
            for _ in range(STATEMENTS_PER_STEP):
                if total.last is None or (total.examined and self._monotonic() >= ends_at):
                    break
                swept = sweep(connection, total.last)
                total = Swept(total.examined + swept.examined, total.deleted + swept.deleted, swept.last)
            return total

        examined = deleted = 0
        while True:
            swept = await self._step(partial(_at, step, after))
            examined, deleted = examined + swept.examined, deleted + swept.deleted
            if swept.last is None:
                return Swept(examined, deleted, None)
            after = swept.last

    async def _step(self, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        """Then pauses as long as the step took, so that the purge uses at most half of the writing thread."""
        begun = self._monotonic()
        result = await self._writes.run(operation)
        written = self._monotonic()
        await self._checkpoints.finish()
        await asyncio.sleep(2 * written - begun - self._monotonic())
        return result


def _at(
    step: Callable[[sqlite3.Connection, _Position], Swept], after: _Position, connection: sqlite3.Connection
) -> Swept:
    return step(connection, after)


def purge_sessions(connection: sqlite3.Connection, *, now: float) -> int:
    """Deletes at most `SESSIONS_AT_ONCE` sessions, those that ended first; returns how many."""
    return connection.execute(
        "DELETE FROM session WHERE rowid IN (SELECT rowid FROM session WHERE ends_at <= ? ORDER BY ends_at LIMIT ?)",
        (now - RETENTION_AFTER_END, SESSIONS_AT_ONCE),
    ).rowcount


def _purge_by_time(connection: sqlite3.Connection, *, statement: str, now: float) -> int:
    return connection.execute(statement, (now, ROWS_PER_STEP)).rowcount


def sweep_expired(connection: sqlite3.Connection, after: _Position, *, table: str, first: str, now: float) -> Swept:
    """Looks at some rows of `table` whose names begin with the character `first`, after the name `after`."""
    some, delete = (
        statement.replace("TABLE", table)
        for statement in (
            "SELECT name FROM TABLE WHERE name > ? AND name < ? ORDER BY name LIMIT ?",
            "DELETE FROM TABLE WHERE name > ? AND name <= ? AND until <= ?",
        )
    )
    rows = connection.execute(some, (*after, _following(first), ROWS_PER_STEP)).fetchall()
    if not rows:
        return Swept(0, 0, None)
    return _swept(rows, connection.execute(delete, (*after, *rows[-1], now)).rowcount)


def sweep_entries(connection: sqlite3.Connection, after: _Position, *, name: str, first: str) -> Swept:
    """Looks at some entries of the index `name` whose hashes begin with the character `first`, after `after`.

    Deletes those without a record.
    """
    rows = connection.execute(
        "SELECT hash, key FROM session_index WHERE name = ? AND (hash, key) > (?, ?) AND hash < ?"
        " ORDER BY hash, key LIMIT ?",
        (name, *after, _following(first), ROWS_PER_STEP),
    ).fetchall()
    if not rows:
        return Swept(0, 0, None)
    deleted = connection.execute(
        "DELETE FROM session_index WHERE name = ? AND (hash, key) > (?, ?) AND (hash, key) <= (?, ?)"
        " AND NOT EXISTS (SELECT 1 FROM session WHERE session.key = session_index.key)",
        (name, *after, *rows[-1]),
    ).rowcount
    return _swept(rows, deleted)


def _swept(rows: list[Any], deleted: int) -> Swept:
    return Swept(len(rows), deleted, rows[-1] if len(rows) == ROWS_PER_STEP else None)


def _following(first: str) -> str:
    return chr(ord(first) + 1)
