"""The rows of sessions and of their index entries: statements inside a write."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from bff.session.keyring import KeyRing
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import IndexName, Rewrapped
from bff.storage import codec, index
from bff.storage.sqlite.expiry import put_end_reason

Entries: TypeAlias = tuple[tuple[IndexName, str], ...]


@dataclass(frozen=True, slots=True)
class SealedSession:
    """A session ready to be written."""

    session: Session
    encoded: codec.Encoded
    entries: Entries


@dataclass(frozen=True, slots=True)
class SessionRows:
    """Every method but `seal` runs on the thread that writes.

    Index entries are written and deleted with their record. Those of a purged record stay for a while
    (`bff.storage.sqlite.purge`), so an entry may point to nothing.
    """

    ring: KeyRing

    def seal(self, session: Session) -> SealedSession:
        """Raises ValueError for a malformed key, RecordTooLarge, and KeyExhausted."""
        index.require_session_key(session)
        return SealedSession(session, codec.encode(self.ring, session), index.entries(self.ring, session))

    def insert(self, connection: sqlite3.Connection, sealed: SealedSession, now: float) -> bool:
        """Whether the record is there; False if another one has its key."""
        session, encoded = sealed.session, sealed.encoded
        done = connection.execute(
            "INSERT INTO session (key, version, write_id, ends_at, last_seen_at, record) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (key) DO NOTHING",
            (session.key, session.version, encoded.write_id, session.ends_at, now, encoded.record),
        ).rowcount
        if done:
            _write_entries(connection, session.key, sealed.entries)
        return bool(done) or _write_id(connection, session.key) == encoded.write_id

    def update(self, connection: sqlite3.Connection, sealed: SealedSession, expected_version: int) -> bool:
        """Whether the record is the stored one now; False if the version was another."""
        session, encoded = sealed.session, sealed.encoded
        # Most writes change no indexed value, and an entry is a page of its own to write.
        indexed = _has_entries(connection, sealed)
        previous = () if indexed else self._stored(connection, session.key, expected_version)
        done = connection.execute(
            "UPDATE session SET version = ?, write_id = ?, ends_at = ?, record = ? WHERE key = ? AND version = ?",
            (session.version, encoded.write_id, session.ends_at, encoded.record, session.key, expected_version),
        ).rowcount
        if done and not indexed:
            for replaced in previous:
                self._delete_entries(connection, replaced)
            _write_entries(connection, session.key, sealed.entries)
        return bool(done) or _write_id(connection, session.key) == encoded.write_id

    def delete(
        self,
        connection: sqlite3.Connection,
        keys: Sequence[SessionKey],
        reason: EndReason,
        until: float,
        expected_version: int | None = None,
    ) -> list[Session]:
        """Deletes the records, and keeps why until `until`. Returns the sessions of those that can be read."""
        rows = connection.execute(
            "DELETE FROM session WHERE key IN (SELECT value FROM json_each(?)) AND version = coalesce(?, version)"
            " RETURNING key, version, record",
            (json.dumps(list(keys)), expected_version),
        ).fetchall()
        decoded = [codec.decode(self.ring, SessionKey(key), version, record) for key, version, record in rows]
        sessions = [session for session in decoded if session is not None]
        for session in sessions:
            self._delete_entries(connection, session)
        put_end_reason(connection, reason, until, *(key for key, *_ in rows))
        return sessions

    def rewrap(self, connection: sqlite3.Connection, *, key: SessionKey) -> Rewrapped:
        """Encrypts this record again under the newest key, with its index entries, whatever its version is."""
        rows = connection.execute("SELECT version, record FROM session WHERE key = ?", (key,)).fetchall()
        for version, record in rows:
            if self.ring.is_under_newest(record):
                return Rewrapped(newest=1)
            session, resealed = codec.decode(self.ring, key, version, record), codec.reseal(self.ring, key, record)
            if session is not None and resealed is not None:
                _write_entries(connection, key, index.entries(self.ring, session))
                connection.execute("UPDATE session SET record = ? WHERE key = ?", (resealed, key))
                return Rewrapped(rewrapped=1)
        return Rewrapped()

    def _stored(self, connection: sqlite3.Connection, key: SessionKey, version: int) -> Sequence[Session]:
        rows = connection.execute("SELECT record FROM session WHERE key = ? AND version = ?", (key, version)).fetchall()
        decoded = (codec.decode(self.ring, key, version, record) for (record,) in rows)
        return [session for session in decoded if session is not None]

    def _delete_entries(self, connection: sqlite3.Connection, session: Session) -> None:
        rows = [
            (name, hashed, session.key)
            for name in index.INDEX_NAMES
            if (value := index.indexed_value(session, name))
            for hashed in index.hashes(self.ring, name, value)
        ]
        connection.executemany("DELETE FROM session_index WHERE name = ? AND hash = ? AND key = ?", rows)


def _has_entries(connection: sqlite3.Connection, sealed: SealedSession) -> bool:
    statement = "SELECT 1 FROM session_index WHERE name = ? AND hash = ? AND key = ?"
    key = sealed.session.key
    return all(connection.execute(statement, (name, hashed, key)).fetchall() for name, hashed in sealed.entries)


def _write_entries(connection: sqlite3.Connection, key: SessionKey, entries: Entries) -> None:
    statement = "INSERT OR IGNORE INTO session_index (name, hash, key) VALUES (?, ?, ?)"
    connection.executemany(statement, [(name, hashed, key) for name, hashed in entries])


def _write_id(connection: sqlite3.Connection, key: str) -> str | None:
    rows = connection.execute("SELECT write_id FROM session WHERE key = ?", (key,)).fetchall()
    return str(rows[0][0]) if rows else None
