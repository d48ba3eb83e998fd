"""Records are sealed again under the newest key, chunk by chunk, each only as it was read."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

from bff.session.keyring import KeyRing, new_key
from bff.session.session import EndReason, Session
from bff.session.store import Found, Rewrapped
from bff.storage import codec, index
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.group_commit import GroupCommit
from bff.storage.sqlite.rewrap import Rewrap
from bff.storage.sqlite.session_rows import SessionRows
from tests.harness.example_session import a_session, next_version
from tests.harness.patience import PATIENT_SQLITE
from tests.harness.waiting import PATIENCE

OLD, NEW = new_key(), new_key()
BEFORE, AFTER, LAST = (SessionRows(KeyRing.from_keys(keys)) for keys in ([OLD], [NEW, OLD], [NEW]))


class Database:
    """`before` and `interfere` are called before and after a read of records that are about to be sealed again."""

    def __init__(self, path: Path) -> None:
        prepare(path, busy_timeout=PATIENCE)
        self.connection = connect(path, PATIENCE)
        self.writes = GroupCommit(lambda: connect(path, 0.0), "writer", PATIENT_SQLITE)
        self.before: Callable[[], object] = lambda: None
        self.interfere: Callable[[], object] = lambda: None

    async def read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        if "write_id" in statement:
            self.before()
        rows = self.connection.execute(statement, values).fetchall()
        if "write_id" in statement:
            self.interfere()
        return rows

    def insert(self, rows: SessionRows, *sessions: Session) -> None:
        for session in sessions:
            assert rows.insert(self.connection, rows.seal(session), 1.0)

    async def rewrap(self) -> Rewrapped:
        done = Rewrapped()
        async for step in Rewrap(self.writes, self.read, AFTER, chunk=3).steps():
            done += step
        return done

    def sessions(self) -> list[Session]:
        """Those that the newest key alone can read, in the order of their creation."""
        rows = self.connection.execute("SELECT key, version, record FROM session ORDER BY rowid").fetchall()
        stored = [codec.read(LAST.ring, key, version, record, 0.0, 0.0) for key, version, record in rows]
        return [record.session for record in stored if isinstance(record, Found)]

    def has_entries(self, session: Session) -> bool:
        entries = set(self.connection.execute("SELECT name, hash, key FROM session_index").fetchall())
        return entries >= {(name, hashed, session.key) for name, hashed in index.entries(LAST.ring, session)}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(tmp_path / "bff.db")
    with closing(opened.connection):
        yield opened
        await opened.writes.close()


async def test_every_record_of_every_chunk_is_sealed_again_with_the_same_version(database: Database) -> None:
    sessions = [a_session() for _ in range(130)]
    database.insert(BEFORE, *sessions[:-2])
    database.insert(AFTER, *sessions[-2:])
    assert await database.rewrap() == Rewrapped(rewrapped=128, newest=2)
    assert database.sessions() == sessions
    assert all(database.has_entries(session) for session in sessions)
    assert await database.rewrap() == Rewrapped(newest=130)


async def test_what_a_stopped_run_has_done_is_skipped_by_the_next_one(database: Database) -> None:
    database.insert(BEFORE, *(a_session() for _ in range(120)))
    async with aclosing(Rewrap(database.writes, database.read, AFTER, chunk=3).steps()) as steps:
        async for step in steps:
            if step.rewrapped:
                break
    assert 0 < len(database.sessions()) < 120
    stopped_after = len(database.sessions())
    assert await database.rewrap() == Rewrapped(rewrapped=120 - stopped_after, newest=stopped_after)


@pytest.mark.parametrize("writer", [BEFORE, AFTER])
async def test_a_record_that_was_written_in_between_is_kept_as_it_was_written(
    database: Database, writer: SessionRows
) -> None:
    sessions = [a_session() for _ in range(3)]
    database.insert(BEFORE, *sessions)
    changed = next_version(sessions[1], sid="another")

    def write() -> None:
        if writer.update(database.connection, writer.seal(changed), 1):
            BEFORE.delete(database.connection, [sessions[2].key], EndReason.OPERATOR, 9.0)
        database.interfere = lambda: None

    database.interfere = write
    done = await database.rewrap()
    assert (done.rewrapped, done.newest) == ((2, 0) if writer is BEFORE else (1, 1))
    assert database.sessions() == [sessions[0], changed]
    assert database.has_entries(changed)


async def test_a_record_that_was_written_since_its_entries_were_has_new_ones(database: Database) -> None:
    sessions = [a_session() for _ in range(3)]
    database.insert(BEFORE, *sessions)
    changed, follower = next_version(sessions[0], sid="another"), a_session()

    def write() -> None:
        assert BEFORE.update(database.connection, BEFORE.seal(changed), 1)
        BEFORE.delete(database.connection, [sessions[2].key], EndReason.OPERATOR, 9.0)
        database.insert(BEFORE, follower)  # in the same row
        database.before = lambda: None

    database.before = write
    assert (await database.rewrap()).rewrapped == 3
    assert database.sessions() == [changed, sessions[1], follower]
    assert all(database.has_entries(session) for session in database.sessions())


async def test_a_record_that_no_key_opens_is_counted_and_kept(database: Database) -> None:
    session, stranger = a_session(), SessionRows(KeyRing.from_keys([new_key()]))
    database.insert(stranger, session)
    record = database.connection.execute("SELECT record FROM session").fetchall()
    assert await database.rewrap() == Rewrapped(unreadable=1)
    assert database.connection.execute("SELECT record FROM session").fetchall() == record
