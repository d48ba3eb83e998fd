"""Index entries follow their record, within the same write."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason, Session
from bff.storage import index
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.session_rows import SessionRows
from tests.harness.example_session import a_session, next_version
from tests.harness.waiting import PATIENCE


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    prepare(tmp_path / "bff.db", busy_timeout=PATIENCE)
    with closing(connect(tmp_path / "bff.db", PATIENCE)) as connection:
        yield connection


def entries(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(connection.execute("SELECT name, hash, key FROM session_index").fetchall())


def expected(ring: KeyRing, session: Session) -> set[tuple[str, str, str]]:
    return {(name, hashed, session.key) for name, hashed in index.entries(ring, session)}


def test_a_changed_value_and_a_new_key_replace_their_entries(connection: sqlite3.Connection) -> None:
    old, new = new_key(), new_key()
    before, after = SessionRows(KeyRing.from_keys([old])), SessionRows(KeyRing.from_keys([new, old]))
    first, other = a_session(), a_session()
    for session in (first, other):
        assert before.insert(connection, before.seal(session), 1.0)
    others = expected(before.ring, other)
    assert entries(connection) == expected(before.ring, first) | others
    second = next_version(first, sid="another", browser=None)
    assert before.update(connection, before.seal(second), 1)
    assert entries(connection) == expected(before.ring, second) | others
    third = next_version(second)
    assert after.update(connection, after.seal(third), 2)
    assert entries(connection) == expected(after.ring, third) | others


def test_a_write_that_changes_no_value_touches_no_entry(connection: sqlite3.Connection, ring: KeyRing) -> None:
    rows, session = SessionRows(ring), a_session()
    rows.insert(connection, rows.seal(session), 1.0)
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    assert rows.update(connection, rows.seal(next_version(session, acr="another")), 1)
    connection.set_trace_callback(None)
    assert [statement.split()[0] for statement in statements if "SELECT" not in statement] == ["UPDATE"]


def test_a_write_that_comes_too_late_changes_no_entry(connection: sqlite3.Connection, ring: KeyRing) -> None:
    rows, session = SessionRows(ring), a_session()
    rows.insert(connection, rows.seal(session), 1.0)
    late = rows.seal(replace(next_version(session), sid="another"))
    assert not rows.update(connection, late, 2)
    assert entries(connection) == expected(ring, session)
    assert rows.delete(connection, [session.key], EndReason.OPERATOR, 9.0, expected_version=2) == []
    assert rows.delete(connection, [session.key], EndReason.OPERATOR, 9.0) == [session]
    assert entries(connection) == set()
    assert not rows.update(connection, late, 1)
    assert entries(connection) == set()
