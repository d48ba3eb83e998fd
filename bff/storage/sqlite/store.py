"""The store for one machine: a SQLite database in WAL mode.

All processes of a machine may use one database, and a read sees what any of them has written. Writes run on one thread
and are durable (`synchronous=FULL`) before a caller gets the result. Reads run on the event loop, where they take
microseconds; a WAL reader rarely waits, and if it would, the read moves to the thread.
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
from bff.session.revocation import RevocationQueue
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Deleted, IndexName, KeyPage, Missing, Page, Replaced, Rewrapped, StoredSession, StoredView
from bff.storage import codec, index, one_time_value
from bff.storage.decoded_records import DecodedRecords
from bff.storage.limits import StoreLimits
from bff.storage.revocation_record import RevocationRecords
from bff.storage.sqlite import expiry
from bff.storage.sqlite.checkpoints import Checkpoints
from bff.storage.sqlite.database import connect, connect_for_bulk_writes, prepare
from bff.storage.sqlite.expiry import RETENTION_AFTER_END
from bff.storage.sqlite.group_commit import GroupCommit, unavailable
from bff.storage.sqlite.host_clock import HostClock
from bff.storage.sqlite.listing import PAGE, Listing
from bff.storage.sqlite.purge import Purge
from bff.storage.sqlite.revocations import SqliteRevocations
from bff.storage.sqlite.rewrap import Rewrap
from bff.storage.sqlite.session_rows import SessionRows
from bff.storage.timeouts import SqliteTimeouts
from bff.telemetry import metrics

_GET: Final = "SELECT version, record, last_seen_at FROM session WHERE key = ? AND ends_at > ?"
_PUT_MARKER: Final = (
    "INSERT INTO marker (name, at, until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET at = iif(until > ?, max(at, excluded.at), excluded.at),"
    " until = iif(until > ?, max(until, excluded.until), excluded.until)"
)

# A page of index entries, the records of those that have one.
_FIND: Final = (
    "SELECT entry.key, version, record FROM (SELECT key FROM session_index WHERE name = ? AND hash = ? AND key > ?"
    " ORDER BY key LIMIT ?) AS entry LEFT JOIN session ON session.key = entry.key AND ends_at > ? ORDER BY entry.key"
)


class SqliteStore:
    """A SessionStore (bff/session/store.py) in one file, created with mode 0600 in a directory of mode 0700."""

    def __init__(
        self,
        path: Path,
        ring: KeyRing,
        *,
        clock: Callable[[], float] | None = None,
        timeouts: SqliteTimeouts = SqliteTimeouts(),
        limits: StoreLimits = StoreLimits(),
    ) -> None:
        """Opens or creates the database. Raises ConfigurationError for an unusable path, or StoreUnavailable.

        `clock` is in seconds since the epoch, by default that of the host.
        """
        self._ring = ring
        prepare(path, busy_timeout=timeouts.busy)
        self._host_clock = HostClock(path, timeout=timeouts.busy)
        self._clock = clock = self._host_clock if clock is None else clock
        try:
            self._reader = connect(path, 0.0)
            self._reader.execute("PRAGMA query_only = 1")
            self._reads = self._reader.cursor()  # one for all: to create another takes a tenth of a read
        except sqlite3.Error as error:
            raise unavailable(error) from None
        self._decoded = DecodedRecords(ring, limits.cache)
        thread, records = f"sqlite-writer {path.name}", RevocationRecords(ring)
        self._checkpoints = Checkpoints(lambda: connect(path, timeouts.busy), f"sqlite-checkpoints {path.name}")
        self._writes = GroupCommit(lambda: connect(path, 0.0), thread, timeouts, self._checkpoints.count)
        self._bulk_writes: Callable[[], GroupCommit] = lambda: GroupCommit(
            lambda: connect_for_bulk_writes(path), thread, timeouts, self._checkpoints.count
        )
        self._rows, self._purge = SessionRows(ring), Purge(self._writes, self._checkpoints)
        self._listing = Listing(self._read, ring)
        self.revocations: RevocationQueue = SqliteRevocations(
            self._writes, self._read, records, clock, limit=limits.revocations
        )

    async def now(self) -> float:
        return self._clock()

    async def create(self, session: Session) -> None:
        sealed, now = self._rows.seal(session), self._clock()
        if not await self._writes.run(lambda connection: self._rows.insert(connection, sealed, now)):
            raise StoreUnavailable("A session with this key already exists.")

    async def get(self, key: SessionKey) -> StoredSession:
        now = self._clock()
        if not index.is_session_key(key):
            return Missing(now)
        values = key, now - RETENTION_AFTER_END
        rows = self._try_to_read(_GET, values)  # nearly always; a coroutine for it costs more than the rest of this
        if rows is None:
            rows = await self._read_on_thread(_GET, values)
        for version, record, last_seen_at in rows:
            return self._decoded.read(key, version, record, now, last_seen_at)
        self._decoded.forget(key)
        return Missing(now)

    async def get_many(self, keys: Sequence[SessionKey]) -> Sequence[StoredView | BaseException]:
        return await asyncio.gather(*(self.get(key) for key in keys), return_exceptions=True)

    async def replace(self, session: Session, expected_version: int) -> Replaced:
        sealed = self._rows.seal(replace(session, version=expected_version + 1))
        done = await self._writes.run(lambda connection: self._rows.update(connection, sealed, expected_version))
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
        return next(iter(await self._delete([key], reason, expected_version)), None)

    async def delete_all(self, keys: Sequence[SessionKey], reason: EndReason) -> Deleted:
        return Deleted(await self._delete(keys, reason, None))

    async def _delete(self, keys: Sequence[SessionKey], reason: EndReason, version: int | None) -> list[Session]:
        known, until = [key for key in keys if index.is_session_key(key)], self._clock() + RETENTION_AFTER_END
        if not known:
            return []
        return await self._writes.run(lambda connection: self._rows.delete(connection, known, reason, until, version))

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

    async def page(self, after: str = "", count: int = PAGE) -> Page:
        return await self._listing.page(after, min(count, PAGE), self._clock())

    async def keys(self, after: str = "") -> KeyPage:
        return await self._listing.keys(after)

    async def find(self, index_name: IndexName, value: str) -> Sequence[Session]:
        sessions: dict[str, Session] = {}
        for hashed in index.hashes(self._ring, index_name, value):
            after = ""
            while True:
                rows = await self._read(_FIND, (index_name, hashed, after, PAGE, self._clock()))
                for key, version, record in rows:
                    session = record and codec.decode(self._ring, SessionKey(key), version, record)
                    if session and index.has_value(session, index_name, value):
                        sessions[key] = session
                if len(rows) < PAGE:
                    break
                after = rows[-1][0]
                await asyncio.sleep(0)  # reading does not wait, and a user may have thousands of sessions
        return list(sessions.values())

    async def put_marker(self, name: str, at: float, until: float) -> None:
        now = self._clock()
        rows = [(marker, at, until, now, now) for marker in index.marker_names(self._ring, name)]
        await self._writes.run(lambda connection: connection.executemany(_PUT_MARKER, rows).rowcount)

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
        return await self._purge.run(self._clock())

    async def rewrap(self) -> AsyncIterator[Rewrapped]:
        writes = self._bulk_writes()
        try:
            async for step in Rewrap(writes, self._read, self._rows).steps():
                yield step
            await self.ping()  # a synced commit, which makes the others durable
        finally:
            await writes.close()

    async def ping(self) -> None:
        statement, now = "INSERT OR REPLACE INTO write_probe (id, at) VALUES (1, ?)", self._clock()
        await self._writes.run(lambda connection: connection.execute(statement, (now,)).rowcount)
        await self._read("SELECT at FROM write_probe", ())

    async def eviction_policy(self) -> str | None:
        return "noeviction"  # a full disk rejects writes and keeps existing data

    async def close(self) -> None:
        await self._writes.close()
        await self._checkpoints.close()
        self._reader.close()
        self._host_clock.close()

    async def _read(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        rows = self._try_to_read(statement, values)
        return await self._read_on_thread(statement, values) if rows is None else rows

    async def _read_on_thread(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        return await self._writes.run(lambda connection: connection.execute(statement, values).fetchall())

    def _try_to_read(self, statement: str, values: tuple[Any, ...]) -> list[Any] | None:
        """None if the read would have to wait."""
        try:
            # fetchall finishes the statement: an open cursor would keep an old snapshot.
            return self._reads.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                metrics.STORE_ERRORS.inc()
                raise unavailable(error) from None
        except sqlite3.Error as error:
            metrics.STORE_ERRORS.inc()
            raise unavailable(error) from None
        return None
