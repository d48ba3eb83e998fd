"""The database of workers on one machine: each operation also runs on a SQLite file, in the statements of the product.

Every process has a connection of its own, as a worker has. SQLite has to reply what the model replies, on which the
invariants are checked. The file loses no write, so a failover is only an outage.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session, SessionKey
from bff.storage import codec, index
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.session_rows import SealedSession, SessionRows
from tests.proof.simulation.database import Database, Row


@dataclass
class SqliteFile:
    """`ring` opens the records of every replica, whatever key each of them writes with."""

    path: Path
    ring: KeyRing
    connections: dict[str, sqlite3.Connection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        prepare(self.path, busy_timeout=0.0)
        self.rows = SessionRows(self.ring)

    def connection(self, process: str) -> sqlite3.Connection:
        if process not in self.connections:
            self.connections[process] = connect(self.path, 0.0)
            self.connections[process].execute("PRAGMA synchronous = OFF")  # no power failure is simulated
        return self.connections[process]

    @contextmanager
    def writing(self, process: str) -> Iterator[sqlite3.Connection]:
        connection = self.connection(process)
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")

    def sealed(self, session: Session, write_id: str, record: bytes) -> SealedSession:
        return SealedSession(session, codec.Encoded(record, write_id), index.entries(self.ring, session))

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()


class SqliteDatabase(Database):
    def __init__(self, *args: Any, file: SqliteFile) -> None:
        super().__init__(*args)
        self._file, self._readers = file, 0

    def create(self, session: Session, write_id: str, record: bytes) -> bool:
        with self._file.writing("sign-in") as connection:
            stored = self._file.rows.insert(connection, self._file.sealed(session, write_id, record), self.now())
        created = super().create(session, write_id, record)
        self._compare("create", session.key, stored, created)
        return created

    def get(self, key: SessionKey) -> tuple[float, Row | None]:
        now, row = super().get(key)
        statement = "SELECT version, record, last_seen_at FROM session WHERE key = ?"
        stored = self._any().execute(statement, (key,)).fetchall()
        expected = [] if row is None else [(row.version, row.record, row.last_seen_at)]
        self._compare("get", key, stored, expected)
        return now, row

    def replace(self, session: Session, expected: int, write_id: str, record: bytes, by: str) -> tuple[float, bool]:
        with self._file.writing(by) as connection:
            stored = self._file.rows.update(connection, self._file.sealed(session, write_id, record), expected)
        now, done = super().replace(session, expected, write_id, record, by)
        self._compare("replace", session.key, stored, done)
        return now, done

    def touch(self, key: SessionKey, last_seen_at: float) -> None:
        statement = "UPDATE session SET last_seen_at = ? WHERE key = ? AND last_seen_at < ?"
        self._any().execute(statement, (last_seen_at, key, last_seen_at))
        super().touch(key, last_seen_at)

    def delete(self, key: SessionKey, reason: EndReason, expected: int | None, op: str) -> tuple[int, bytes] | None:
        repeated = op in self.graves
        taken = super().delete(key, reason, expected, op)
        if not repeated:
            with self._file.writing(op.rpartition("-")[0]) as connection:
                deleted = self._file.rows.delete(connection, [key], reason, self.now() + 60, expected)
            versions = [session.version for session in deleted]
            self._compare("delete", key, versions, [] if taken is None else [taken[0]])
        return taken

    def fail_over(self, lag: float, down_for: float) -> None:
        self.down_until = self.loop.time() + down_for

    def _any(self) -> sqlite3.Connection:
        """The connection of one process after the other."""
        self._readers += 1
        connections = list(self._file.connections.values())
        return connections[self._readers % len(connections)]

    def _compare(self, operation: str, key: SessionKey, stored: object, expected: object) -> None:
        if stored != expected:
            self.invariants.broken("sqlite", f"{operation}: SQLite replies {stored}, expected {expected}", key)
