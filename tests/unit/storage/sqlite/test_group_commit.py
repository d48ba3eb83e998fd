"""Writes share a commit and nothing else: a failure, a timeout or a cancelled caller concerns one of them."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.errors import StoreUnavailable
from bff.storage.sqlite.group_commit import BATCH, QUEUE_LIMIT, GroupCommit
from bff.storage.timeouts import SqliteTimeouts
from tests.harness.waiting import PATIENCE, loop_turns, until


class Writes(GroupCommit):
    def __init__(self, path: Path, answer_timeout: float = PATIENCE, busy_timeout: float = PATIENCE) -> None:
        self.path, self.connections, self.open = path, 0, threading.Event()
        self.open.set()
        super().__init__(self._opened, "test", SqliteTimeouts(busy=busy_timeout, answer=answer_timeout))

    def _opened(self) -> sqlite3.Connection:
        assert self.open.wait(PATIENCE)
        self.connections += 1
        return sqlite3.connect(self.path, isolation_level=None, timeout=0)

    async def insert(self, number: int) -> int:
        return await self.run(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)).rowcount)

    async def numbers(self) -> list[int]:
        rows = await self.run(lambda connection: connection.execute("SELECT x FROM t ORDER BY x").fetchall())
        return [number for (number,) in rows]


@pytest.fixture
async def writes(tmp_path: Path) -> AsyncIterator[Writes]:
    opened = Writes(tmp_path / "any.db")
    await opened.run(lambda connection: connection.execute("CREATE TABLE t (x INTEGER PRIMARY KEY)").rowcount)
    yield opened
    opened.open.set()
    await opened.close()


async def test_one_operation_that_fails_takes_no_other_with_it(writes: Writes) -> None:
    def insert_and_fail(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (100)")
        return connection.execute("INSERT INTO t VALUES (1)").rowcount  # taken

    def defect(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (200)")
        raise ZeroDivisionError

    answers = await asyncio.gather(
        *map(writes.insert, range(5)), writes.run(insert_and_fail), writes.run(defect), return_exceptions=True
    )
    assert answers[:5] == [1] * 5
    assert [type(answer) for answer in answers[5:]] == [StoreUnavailable, ZeroDivisionError]
    assert "SQLITE_CONSTRAINT" in str(answers[5])
    assert await writes.numbers() == [0, 1, 2, 3, 4]


async def test_a_transaction_that_is_lost_fails_all_of_its_batch_and_the_next_one_starts_afresh(writes: Writes) -> None:
    def roll_back(connection: sqlite3.Connection) -> int:
        connection.execute("ROLLBACK")
        raise sqlite3.OperationalError("disk I/O error")

    answers = await asyncio.gather(writes.insert(1), writes.run(roll_back), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 2
    assert await writes.numbers() == []
    assert writes.connections == 2


async def test_a_cancelled_caller_does_not_cancel_its_write(writes: Writes) -> None:
    caller = asyncio.create_task(writes.insert(1))
    await loop_turns()
    caller.cancel()
    assert await writes.numbers() == [1]


async def test_a_write_that_has_not_begun_in_time_is_skipped(tmp_path: Path) -> None:
    writes, ran = Writes(tmp_path / "any.db", answer_timeout=0.01), list[int]()
    writes.open.clear()
    first = asyncio.create_task(writes.run(lambda _: ran.append(1)))
    await until(writes._queue.empty)  # the thread has it, and waits for a connection
    with pytest.raises(StoreUnavailable, match="in time"):
        await first
    with pytest.raises(StoreUnavailable, match="in time"):
        await writes.run(lambda _: ran.append(2))
    writes.open.set()
    await writes.close()
    assert ran == [1]


async def test_a_queue_that_is_full_refuses_at_once(tmp_path: Path) -> None:
    writes = Writes(tmp_path / "any.db")
    writes.open.clear()
    calls = [asyncio.create_task(writes.run(lambda _: 1)) for _ in range(QUEUE_LIMIT + 2 * BATCH)]
    await loop_turns(2)
    refused = [call for call in calls if call.done()]
    assert BATCH <= len(refused) <= 2 * BATCH
    writes.open.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers.count(1) == len(calls) - len(refused)
    assert all("Too many" in str(answer) for answer in answers if answer != 1)
    await writes.close()


async def test_a_closed_one_writes_what_waits_and_refuses_the_rest(writes: Writes) -> None:
    caller = asyncio.create_task(writes.insert(1))
    await loop_turns()
    await writes.close()
    assert await caller == 1
    with pytest.raises(StoreUnavailable, match="closed"):
        await writes.insert(2)


async def test_a_writer_waits_for_the_lock_of_another_process_and_then_writes(writes: Writes) -> None:
    other = sqlite3.connect(writes.path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    insert = asyncio.ensure_future(writes.insert(1))
    await loop_turns(20)
    assert not insert.done()
    other.execute("INSERT INTO t VALUES (0)")
    other.execute("COMMIT")
    other.close()
    assert await insert == 1
    assert await writes.numbers() == [0, 1]
    assert writes.connections == 1


async def test_a_lock_that_is_not_released_in_time_is_an_error(tmp_path: Path, writes: Writes) -> None:
    hasty = Writes(writes.path, busy_timeout=0.05)
    other = sqlite3.connect(writes.path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY"):
        await hasty.insert(1)
    other.close()
    assert await hasty.insert(1) == 1
    await hasty.close()
