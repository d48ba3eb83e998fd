"""The log is copied into the database beside the connection that writes, and never by it."""

import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bff.storage.sqlite.checkpoints import Checkpoints
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.group_commit import GroupCommit
from tests.harness.patience import PATIENT_SQLITE
from tests.harness.waiting import PATIENCE

PAGE = 4096  # bytes


class Database:
    """`open` may be cleared: a checkpoint waits for it."""

    def __init__(self, path: Path) -> None:
        self.path, self.connected, self.open = path, 0, threading.Event()
        self.open.set()
        prepare(path, busy_timeout=PATIENCE)
        self.checkpoints = Checkpoints(self._connect, "checkpoints", rows=10)
        self.writes = GroupCommit(lambda: connect(path, 0.0), "writer", PATIENT_SQLITE, self.checkpoints.count)

    def _connect(self) -> sqlite3.Connection:
        assert self.open.wait(PATIENCE)
        self.connected += 1
        return connect(self.path, PATIENCE)

    async def insert(self, count: int) -> None:
        rows = [(f"{count}-{number}", b"x" * PAGE) for number in range(count)]
        statement = "INSERT INTO one_time_value (name, until, value) VALUES (?, 1.0, ?)"
        await self.writes.run(lambda connection: connection.executemany(statement, rows).rowcount)

    async def copied(self) -> bool:
        """Whether a checkpoint has copied what was written."""
        await self.writes.run(lambda connection: None)  # the commit before it is counted by now
        await self.checkpoints.finish()
        return self.path.stat().st_size > 20 * PAGE


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "bff.db")
    yield database
    database.open.set()
    await database.writes.close()
    await database.checkpoints.close()


@pytest.fixture
def reader(database: Database) -> Iterator[sqlite3.Connection]:
    with closing(connect(database.path, 0.0)) as connection:
        yield connection


async def test_a_checkpoint_follows_a_number_of_changed_rows(database: Database) -> None:
    for size in (4, 5):
        await database.insert(size)
    assert not await database.copied()
    assert database.connected == 0
    await database.insert(1)
    await database.insert(12)
    assert await database.copied()


async def test_writes_go_on_beside_a_checkpoint(database: Database, reader: sqlite3.Connection) -> None:
    database.open.clear()
    for size in (12, 13, 14):
        await database.insert(size)
    assert reader.execute("SELECT count(*) FROM one_time_value").fetchall() == [(39,)]
    database.open.set()
    assert await database.copied()
    assert database.connected == 1, "one at a time"


async def test_a_checkpoint_that_fails_is_made_up_for_by_the_next_one(database: Database) -> None:
    database.checkpoints._connect = lambda: sqlite3.connect(database.path.parent, timeout=0)
    await database.insert(11)
    assert not await database.copied()
    database.checkpoints._connect = database._connect
    await database.insert(12)
    assert await database.copied()


async def test_a_write_after_the_end_needs_no_checkpoint(database: Database) -> None:
    await database.checkpoints.close()
    await database.insert(12)
    await database.insert(13)
    await database.checkpoints.finish()
    await database.checkpoints.close()
