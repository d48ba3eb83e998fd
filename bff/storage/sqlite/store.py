"""The store for one machine: a SQLite database in WAL mode.

One process per database file is supported. Writes run on one thread and are durable (`synchronous=FULL`) before a
caller gets the result. Reads run on the event loop, where they take microseconds; a WAL reader rarely waits, and if it
would, the read moves to the thread.
"""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.revocation import WAITING_LIMIT, RevocationQueue
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Deleted, Found, IndexName, KeyRemoved, Missing, Replaced, StoredSession
from bff.storage import codec, index, one_time_value
from bff.storage.decoded_records import DecodedRecords
from bff.storage.revocation_record import RevocationRecords
from bff.storage.sqlite import expiry
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.expiry import PURGE_STEP, RETENTION_AFTER_END
from bff.storage.sqlite.group_commit import GroupCommit, unavailable
from bff.storage.sqlite.host_clock import host_now
from bff.storage.sqlite.record_rows import write_entries, write_id
from bff.storage.sqlite.revocations import SqliteRevocations
from bff.storage.timeouts import SqliteTimeouts
from bff.telemetry import metrics

PAGE: Final = 100  # records read and decoded at a time


class SqliteStore:
    """A SessionStore (bff/session/store.py) in one file, created with mode 0600 in a directory of mode 0700."""

    def __init__(
        self,
        path: Path,
        ring: KeyRing,
        *,
        clock: Callable[[], float] = host_now,
        timeouts: SqliteTimeouts = SqliteTimeouts(),
        revocation_limit: int = WAITING_LIMIT,
    ) -> None:
        """Opens or creates the database. Raises ConfigurationError for an unusable path, or StoreUnavailable.

        `clock` is in seconds since the epoch; at most `revocation_limit` revocations wait.
        """
        self._path, self._ring, self._clock = path, ring, clock
        prepare(path, busy_timeout=timeouts.busy)
        try:
            self._reader = connect(path, 0.0)
            self._reader.execute("PRAGMA query_only = 1")
        except sqlite3.Error as error:
            raise unavailable(error) from None
        self._decoded = DecodedRecords(ring)
        thread, records = f"sqlite-writer {path.name}", RevocationRecords(ring)
        self._writes = GroupCommit(lambda: connect(path, timeouts.busy), thread, answer_timeout=timeouts.answer)
        self.revocations: RevocationQueue = SqliteRevocations(
            self._writes, self._read, records, clock, limit=revocation_limit
        )

    async def now(self) -> float:
        return self._clock()

    async def create(self, session: Session) -> None:
        index.require_session_key(session)
        encoded = codec.encode(self._ring, session)
        entries = index.entries(self._ring, session)

        def write(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "INSERT INTO session (key, version, write_id, ends_at, last_seen_at, record) VALUES (?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (key) DO NOTHING",
                (session.key, session.version, encoded.write_id, session.ends_at, self._clock(), encoded.record),
            ).rowcount
            if done:
                write_entries(connection, session.key, entries)
            return bool(done) or write_id(connection, session.key) == encoded.write_id

        if not await self._writes.run(write):
            raise StoreUnavailable("A session with this key already exists.")

    async def get(self, key: SessionKey) -> StoredSession:
        now = self._clock()
        if not index.is_session_key(key):
            return Missing(now)
        rows = await self._read(
            "SELECT version, record, last_seen_at FROM session WHERE key = ? AND ends_at > ?",
            (key, now - RETENTION_AFTER_END),
        )
        for version, record, last_seen_at in rows:
            return self._decoded.read(key, version, record, now, last_seen_at)
        self._decoded.forget(key)
        return Missing(now)

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        index.require_session_key(session)
        session = replace(session, version=expected_version + 1)
        encoded = codec.encode(self._ring, session)
        entries = index.entries(self._ring, session)

        def write(connection: sqlite3.Connection) -> bool:
            done = connection.execute(
                "UPDATE session SET version = ?, write_id = ?, ends_at = ?, record = ? WHERE key = ? AND version = ?",
                (session.version, encoded.write_id, session.ends_at, encoded.record, session.key, expected_version),
            ).rowcount
            if done:
                connection.execute("DELETE FROM session_index WHERE key = ?", (session.key,))
                write_entries(connection, session.key, entries)
            return bool(done) or write_id(connection, session.key) == encoded.write_id

        done = await self._writes.run(write)
        return Replaced(self._clock(), done)

    async def touch(self, key: SessionKey, last_seen_at: float) -> None:
        await self._writes.run(
            lambda connection: (
                connection.execute(
                    "UPDATE session SET last_seen_at = ? WHERE key = ? AND last_seen_at < ?",
                    (last_seen_at, key, last_seen_at),
                ).rowcount
            )
        )

    async def delete(self, key: SessionKey, reason: EndReason, expected_version: int | None = None) -> Session | None:
        if not index.is_session_key(key):
            return None
        until = self._clock() + RETENTION_AFTER_END

        def write(connection: sqlite3.Connection) -> Any:
            rows = connection.execute(
                "DELETE FROM session WHERE key = ? AND version = coalesce(?, version) RETURNING version, record",
                (key, expected_version),
            ).fetchall()
            if rows:
                connection.execute("DELETE FROM session_index WHERE key = ?", (key,))
                expiry.put_end_reason(connection, reason, until, key)
            return rows

        for version, record in await self._writes.run(write):
            return codec.decode(self._ring, key, version, record)
        return None

    async def delete_all(self, keys: Sequence[SessionKey], reason: EndReason) -> Deleted:
        known = [key for key in keys if index.is_session_key(key)]
        wanted, until = json.dumps(known), self._clock() + RETENTION_AFTER_END
        rows = await self._writes.run(lambda connection: expiry.delete_sessions(connection, wanted, reason, until))
        decoded = (codec.decode(self._ring, SessionKey(key), version, record) for key, version, record in rows)
        return Deleted([session for session in decoded if session is not None])

    async def put_end_reasons(self, names: Sequence[str], reason: EndReason) -> None:
        stored, until = [index.end_reason_name(name) for name in names], self._clock() + RETENTION_AFTER_END
        await self._writes.run(lambda connection: expiry.put_end_reason(connection, reason, until, *stored))

    async def put_end_reason(self, name: str, reason: EndReason) -> None:
        await self.put_end_reasons([name], reason)

    async def take_end_reason(self, name: str, *, keep: float = 0.0) -> EndReason | None:
        stored, now = index.end_reason_name(name), self._clock()
        # Most names have no end reason; checking with a read avoids a write.
        if not await self._read("SELECT 1 FROM end_reason WHERE name = ?", (stored,)):
            return None

        rows = await self._writes.run(
            lambda connection: expiry.take_end_reason(connection, stored, now + keep if keep else None)
        )
        return next((index.end_reason(reason) for reason, until in rows if until > now), None)

    async def get_end_reason(self, name: str) -> EndReason | None:
        rows = await self._read(
            "SELECT reason FROM end_reason WHERE name = ? AND until > ?", (index.end_reason_name(name), self._clock())
        )
        return index.end_reason(rows[0][0]) if rows else None

    async def all(self) -> AsyncIterator[Found | KeyRemoved]:
        after = ""
        while True:
            rows = await self._read(
                "SELECT key, version, record, last_seen_at FROM session WHERE key > ? AND ends_at > ?"
                " ORDER BY key LIMIT ?",
                (after, self._clock() - RETENTION_AFTER_END, PAGE),
            )
            for key, version, record, last_seen_at in rows:
                stored = codec.read(self._ring, SessionKey(key), version, record, self._clock(), last_seen_at)
                if not isinstance(stored, Missing):
                    yield stored
            if len(rows) < PAGE:
                return
            after = rows[-1][0]

    async def find(self, index_name: IndexName, value: str) -> Sequence[Session]:
        sessions: dict[str, Session | None] = {}
        for hashed in index.hashes(self._ring, index_name, value):
            after = ""
            while True:
                rows = await self._read(
                    "SELECT session_index.key, version, record FROM session_index JOIN session USING (key)"
                    " WHERE name = ? AND hash = ? AND session_index.key > ? AND ends_at > ?"
                    " ORDER BY session_index.key LIMIT ?",
                    (index_name, hashed, after, self._clock(), PAGE),
                )
                for key, version, record in rows:
                    sessions[key] = codec.decode(self._ring, SessionKey(key), version, record)
                if len(rows) < PAGE:
                    break
                after = rows[-1][0]
                await asyncio.sleep(0)  # reading does not wait, and a user may have thousands of sessions
        return [session for session in sessions.values() if session is not None]

    async def put_marker(self, name: str, at: float, until: float) -> None:
        rows = [(marker, at, until) for marker in index.marker_names(self._ring, name)]
        await self._writes.run(
            lambda connection: (
                connection.executemany(
                    "INSERT INTO marker (name, at, until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
                    " SET at = max(at, excluded.at), until = max(until, excluded.until)",
                    rows,
                ).rowcount
            )
        )

    async def get_marker(self, name: str) -> float | None:
        names = json.dumps(index.marker_names(self._ring, name))
        ((at,),) = await self._read(
            "SELECT max(at) FROM marker WHERE name IN (SELECT value FROM json_each(?)) AND until > ?",
            (names, self._clock()),
        )
        return None if at is None else float(at)

    async def claim_once(self, name: str, until: float) -> bool:
        names, now = index.claim_names(self._ring, name), self._clock()

        def write(connection: sqlite3.Connection) -> bool:
            taken = connection.execute(
                "SELECT 1 FROM claim WHERE name IN (SELECT value FROM json_each(?)) AND until > ?",
                (json.dumps(names), now),
            ).fetchall()
            if not taken:
                rows = [(claimed, until) for claimed in names]
                connection.executemany("INSERT OR REPLACE INTO claim (name, until) VALUES (?, ?)", rows)
            return not taken

        return await self._writes.run(write)

    async def leave_value(self, name: str, value: bytes, until: float) -> None:
        stored = index.value_name(name)
        row = (stored, until, one_time_value.seal(self._ring, stored, value))
        statement = "INSERT OR REPLACE INTO one_time_value (name, until, value) VALUES (?, ?, ?)"
        await self._writes.run(lambda connection: connection.execute(statement, row).rowcount)

    async def take_value(self, name: str) -> bytes | None:
        stored, now = index.value_name(name), self._clock()
        # Most requested names have no value (a reload, a guess); checking with a read avoids a write.
        if not await self._read("SELECT 1 FROM one_time_value WHERE name = ?", (stored,)):
            return None
        statement = "DELETE FROM one_time_value WHERE name = ? RETURNING until, value"
        rows = await self._writes.run(lambda connection: connection.execute(statement, (stored,)).fetchall())
        return next((one_time_value.unseal(self._ring, stored, value) for until, value in rows if until > now), None)

    async def purge_expired(self) -> int:
        now, purged = self._clock(), 0
        while True:
            step = await self._writes.run(lambda connection: expiry.purge(connection, now))
            purged += step
            if step < PURGE_STEP:
                return purged

    async def ping(self) -> None:
        now = self._clock()
        await self._writes.run(
            lambda connection: (
                connection.execute("INSERT OR REPLACE INTO write_probe (id, at) VALUES (1, ?)", (now,)).rowcount
            )
        )
        await self._read("SELECT at FROM write_probe", ())

    async def eviction_policy(self) -> str | None:
        return "noeviction"  # a full disk rejects writes and keeps existing data

    async def close(self) -> None:
        await self._writes.close()
        self._reader.close()

    async def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            # fetchall finishes the statement: an open cursor would keep an old snapshot.
            return self._reader.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                metrics.STORE_ERRORS.inc()
                raise unavailable(error) from None
        except sqlite3.Error as error:
            metrics.STORE_ERRORS.inc()
            raise unavailable(error) from None
        return await self._writes.run(lambda connection: connection.execute(statement, values).fetchall())
