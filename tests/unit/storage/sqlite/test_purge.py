"""What has expired is deleted in small steps, and nothing else is."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bff.base64url import encode_base64url
from bff.session.keyring import KeyRing, new_session_id
from bff.storage.sqlite.checkpoints import Checkpoints
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.expiry import RETENTION_AFTER_END
from bff.storage.sqlite.group_commit import GroupCommit
from bff.storage.sqlite.purge import (
    ROWS_PER_STEP,
    SESSIONS_AT_ONCE,
    SESSIONS_PER_STEP,
    STATEMENTS_PER_STEP,
    STEP_TIME,
    Purge,
    purge_sessions,
    sweep_entries,
    sweep_expired,
)
from bff.storage.sqlite.session_rows import SessionRows
from tests.harness.example_session import a_session
from tests.harness.patience import PATIENT_SQLITE
from tests.harness.waiting import PATIENCE

NOW = 1_000_000.0
OVER = NOW - RETENTION_AFTER_END


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "bff.db"
    prepare(path, busy_timeout=PATIENCE)
    return path


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(path, PATIENCE)) as connection:
        yield connection


@dataclass
class Steps:
    """The database as a purge uses it; `changed` has the number of rows that each of its transactions deleted."""

    path: Path
    time_for_a_look: float = 0.0  # seconds that pass between two looks at the clock
    changed: list[int] = field(default_factory=list)
    waits: int = 0
    time: float = 0.0

    def __post_init__(self) -> None:
        self.checkpoints = CountedCheckpoints(self)
        self.writes = GroupCommit(lambda: connect(self.path, 0.0), "writer", PATIENT_SQLITE, self._committed)

    def _committed(self, rows: int) -> None:
        if rows:
            self.changed.append(rows)
        self.checkpoints.count(rows)

    def monotonic(self) -> float:
        self.time += self.time_for_a_look
        return self.time

    def purge(self, first_slice: int) -> Purge:
        return Purge(self.writes, self.checkpoints, first_slice=first_slice, monotonic=self.monotonic)


class CountedCheckpoints(Checkpoints):
    def __init__(self, steps: Steps) -> None:
        super().__init__(lambda: connect(steps.path, 0.0), "checkpoints")
        self._steps = steps

    async def finish(self) -> None:
        await super().finish()
        self._steps.waits += 1


@pytest.fixture
async def steps(path: Path) -> AsyncIterator[Steps]:
    steps = Steps(path)
    yield steps
    await steps.writes.close()
    await steps.checkpoints.close()


def count(connection: sqlite3.Connection, table: str) -> int:
    ((number,),) = connection.execute(f"SELECT count(*) FROM {table}").fetchall()
    return int(number)


def insert_sessions(connection: sqlite3.Connection, ring: KeyRing, *ends_at: float) -> None:
    rows = SessionRows(ring)
    connection.execute("BEGIN")
    for at in ends_at:
        assert rows.insert(connection, rows.seal(a_session(NOW, ends_at=at)), NOW)
    connection.execute("COMMIT")


def insert_names(connection: sqlite3.Connection, table: str, number: int, until: float, first: str = "") -> None:
    columns = {"end_reason": "'operator', ", "marker": "1.0, ", "claim": "", "one_time_value": ""}[table]
    names = [(first + encode_base64url(new_session_id().secret)[len(first) :], until) for _ in range(number)]
    value = ", x''" if table == "one_time_value" else ""
    connection.execute("BEGIN")
    connection.executemany(f"INSERT INTO {table} VALUES (?, {columns}?{value})", names)
    connection.execute("COMMIT")


def test_sessions_are_purged_a_few_at_a_time_those_that_ended_first(
    connection: sqlite3.Connection, ring: KeyRing
) -> None:
    insert_sessions(connection, ring, OVER + 1, *(OVER - number for number in range(SESSIONS_AT_ONCE + 2)))
    assert purge_sessions(connection, now=NOW) == SESSIONS_AT_ONCE
    left = [at for (at,) in connection.execute("SELECT ends_at FROM session ORDER BY ends_at").fetchall()]
    assert left == [OVER - 1, OVER, OVER + 1]
    assert [purge_sessions(connection, now=NOW) for _ in range(2)] == [2, 0]


@pytest.mark.parametrize("table", ["end_reason", "marker", "claim"])
def test_a_sweep_deletes_what_has_expired_within_its_slice(connection: sqlite3.Connection, table: str) -> None:
    for first in "Aa_":
        insert_names(connection, table, 700, NOW, first)
        insert_names(connection, table, 20, NOW + 1, first)
    step, deleted = sweep_expired(connection, ("a",), table=table, first="a", now=NOW), 0
    assert step.examined == ROWS_PER_STEP
    while step.last is not None:
        deleted += step.deleted
        step = sweep_expired(connection, step.last, table=table, first="a", now=NOW)
    assert deleted + step.deleted == 700
    assert count(connection, f"{table} WHERE name >= 'a' AND name < 'b'") == 20
    assert count(connection, table) == 2 * 720 + 20


def test_entries_without_a_record_are_swept_and_others_stay(connection: sqlite3.Connection, ring: KeyRing) -> None:
    insert_sessions(connection, ring, *[OVER] * 30, *[NOW] * 30)
    before = count(connection, "session_index")
    assert sum(purge_sessions(connection, now=NOW) for _ in range(7)) == 30
    assert count(connection, "session_index") == before, "they are not deleted with the record"
    deleted = 0
    for name, first in connection.execute("SELECT DISTINCT name, substr(hash, 1, 1) FROM session_index").fetchall():
        step = sweep_entries(connection, (first, ""), name=name, first=first)
        assert step.last is None
        deleted += step.deleted
    assert deleted == before // 2 == count(connection, "session_index")
    assert count(connection, "session_index WHERE key NOT IN (SELECT key FROM session)") == 0


async def test_many_purged_sessions_leave_no_entries_behind(
    connection: sqlite3.Connection, ring: KeyRing, steps: Steps
) -> None:
    insert_sessions(connection, ring, *[OVER] * 600, *[NOW] * 60)
    assert await steps.purge(63).run(NOW) == 600
    assert count(connection, "session_index WHERE key NOT IN (SELECT key FROM session)") == 0
    assert count(connection, "session") == 60


async def test_successive_purges_reach_every_row(connection: sqlite3.Connection, steps: Steps) -> None:
    tables = ("end_reason", "marker", "claim", "one_time_value")
    for table in tables:
        insert_names(connection, table, 300, NOW)
        insert_names(connection, table, 2, NOW + 1)
    purge = steps.purge(60)
    assert await purge.run(NOW) == 0
    assert count(connection, "one_time_value") == 2, "values are purged at once"
    assert count(connection, "claim") > 200, "a purge sweeps a part of the table"
    for _ in range(10):
        await purge.run(NOW)
    assert [count(connection, table) for table in tables] == [2, 2, 2, 2]


async def test_a_step_has_a_limit_of_rows(connection: sqlite3.Connection, ring: KeyRing, steps: Steps) -> None:
    insert_sessions(connection, ring, *[OVER] * (2 * SESSIONS_PER_STEP))
    insert_names(connection, "claim", ROWS_PER_STEP * (STATEMENTS_PER_STEP + 1), NOW, "a")
    await steps.purge(37).run(NOW)
    assert steps.changed[:4] == [SESSIONS_PER_STEP] * 2 + [ROWS_PER_STEP * STATEMENTS_PER_STEP, ROWS_PER_STEP]


async def test_a_step_ends_when_its_time_is_over(connection: sqlite3.Connection, ring: KeyRing, steps: Steps) -> None:
    insert_sessions(connection, ring, *[OVER] * 18)
    insert_names(connection, "claim", ROWS_PER_STEP * 2 + 1, NOW, "a")
    insert_names(connection, "one_time_value", ROWS_PER_STEP * 2 + 1, NOW)
    steps.time_for_a_look = STEP_TIME
    await steps.purge(37).run(NOW)
    assert steps.changed[:4] == [SESSIONS_AT_ONCE] * 3 + [3]
    assert steps.changed[4:10] == [ROWS_PER_STEP, ROWS_PER_STEP, 1] * 2


async def test_every_step_is_in_the_database_file_before_the_next_one(
    connection: sqlite3.Connection, ring: KeyRing, steps: Steps
) -> None:
    insert_sessions(connection, ring, *[OVER] * (3 * SESSIONS_PER_STEP + 1))
    await steps.purge(0).run(NOW)
    assert steps.waits > len(steps.changed) > 3


def test_no_step_reads_a_whole_table(connection: sqlite3.Connection) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    purge_sessions(connection, now=NOW)
    for table in ("end_reason", "marker", "claim"):
        insert_names(connection, table, 1, NOW, "a")
        sweep_expired(connection, ("a",), table=table, first="a", now=NOW)
    connection.execute("INSERT INTO session_index VALUES ('sub', 'ab', 'k')")
    sweep_entries(connection, ("a", ""), name="sub", first="a")
    connection.set_trace_callback(None)
    plans = {statement: connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall() for statement in statements}
    assert len(plans) > 8
    assert {statement: plan for statement, plan in plans.items() if any("SCAN" in row[3] for row in plan)} == {}
