"""What has expired is deleted in small steps, and nothing else is."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bff.base64url import encode_base64url
from bff.session.keyring import KeyRing, new_session_id
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.expiry import RETENTION_AFTER_END
from bff.storage.sqlite.group_commit import GroupCommit
from bff.storage.sqlite.purge import (
    ROWS_PER_STEP,
    SESSIONS_PER_STEP,
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


@pytest.fixture
async def writes(path: Path) -> AsyncIterator[GroupCommit]:
    writes = GroupCommit(lambda: connect(path, 0.0), "writer", PATIENT_SQLITE)
    yield writes
    await writes.close()


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
    insert_sessions(connection, ring, OVER + 1, *(OVER - number for number in range(SESSIONS_PER_STEP + 2)))
    assert purge_sessions(connection, now=NOW) == SESSIONS_PER_STEP
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
    assert purge_sessions(connection, now=NOW) == 30
    assert count(connection, "session_index") == before, "they are not deleted with the record"
    deleted = 0
    for name, first in connection.execute("SELECT DISTINCT name, substr(hash, 1, 1) FROM session_index").fetchall():
        step = sweep_entries(connection, (first, ""), name=name, first=first)
        assert step.last is None
        deleted += step.deleted
    assert deleted == before // 2 == count(connection, "session_index")
    assert count(connection, "session_index WHERE key NOT IN (SELECT key FROM session)") == 0


async def test_many_purged_sessions_leave_no_entries_behind(
    connection: sqlite3.Connection, ring: KeyRing, writes: GroupCommit
) -> None:
    insert_sessions(connection, ring, *[OVER] * 600, *[NOW] * 60)
    assert await Purge(writes, first_slice=63).run(NOW) == 600
    assert count(connection, "session_index WHERE key NOT IN (SELECT key FROM session)") == 0
    assert count(connection, "session") == 60


async def test_successive_purges_reach_every_row(connection: sqlite3.Connection, writes: GroupCommit) -> None:
    tables = ("end_reason", "marker", "claim", "one_time_value")
    for table in tables:
        insert_names(connection, table, 300, NOW)
        insert_names(connection, table, 2, NOW + 1)
    purge = Purge(writes, first_slice=60)
    assert await purge.run(NOW) == 0
    assert count(connection, "one_time_value") == 2, "values are purged at once"
    assert count(connection, "claim") > 200, "a purge sweeps a part of the table"
    for _ in range(10):
        await purge.run(NOW)
    assert [count(connection, table) for table in tables] == [2, 2, 2, 2]


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
