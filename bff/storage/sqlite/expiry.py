"""The end of records in SQLite: how long they stay, and their deletion."""

import sqlite3
from typing import Any, Final

from bff.session.session import EndReason

RETENTION_AFTER_END: Final = 86_400.0  # seconds that a record and its end reason stay after the end
PURGE_STEP: Final = 500  # records per transaction, so that a large purge does not delay sign-ins


def purge(connection: sqlite3.Connection, now: float) -> int:
    """Deletes at most `PURGE_STEP` sessions, and everything else that has expired; returns how many sessions."""
    rows = connection.execute(
        "SELECT key FROM session WHERE ends_at <= ? LIMIT ?", (now - RETENTION_AFTER_END, PURGE_STEP)
    ).fetchall()
    connection.executemany("DELETE FROM session WHERE key = ?", rows)
    connection.executemany("DELETE FROM session_index WHERE key = ?", rows)
    connection.execute("DELETE FROM end_reason WHERE until <= ?", (now,))
    connection.execute("DELETE FROM claim WHERE until <= ?", (now,))
    connection.execute("DELETE FROM marker WHERE until <= ?", (now,))
    connection.execute("DELETE FROM one_time_value WHERE until <= ?", (now,))
    connection.execute("DELETE FROM revocation WHERE until <= ?", (now,))
    return len(rows)


def put_end_reason(connection: sqlite3.Connection, reason: EndReason, until: float, *names: str) -> None:
    """Keeps why a session ended under each of these names; `until` is in seconds since the epoch."""
    connection.executemany(
        "INSERT OR REPLACE INTO end_reason (name, reason, until) VALUES (?, ?, ?)",
        [(name, reason.value, until) for name in names],
    )


def delete_sessions(connection: sqlite3.Connection, keys: str, reason: EndReason, until: float) -> list[Any]:
    """Deletes the sessions of these keys (a JSON array), and keeps why. Returns their keys, versions and records."""
    rows = connection.execute(
        "DELETE FROM session WHERE key IN (SELECT value FROM json_each(?)) RETURNING key, version, record", (keys,)
    ).fetchall()
    connection.execute("DELETE FROM session_index WHERE key IN (SELECT value FROM json_each(?))", (keys,))
    put_end_reason(connection, reason, until, *(key for key, *_ in rows))
    return rows


def take_end_reason(connection: sqlite3.Connection, name: str, until: float | None) -> list[Any]:
    """Its reason and the time until which it was kept. It is deleted, or kept until `until` at most."""
    if until is None:
        statement, values = "DELETE FROM end_reason WHERE name = ? RETURNING reason, until", (name,)
        return connection.execute(statement, values).fetchall()
    statement = "UPDATE end_reason SET until = min(until, ?) WHERE name = ? RETURNING reason, until"
    return connection.execute(statement, (until, name)).fetchall()
