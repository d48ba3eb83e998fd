"""End reasons in SQLite, and how long records stay after their end."""

import sqlite3
from typing import Any, Final

from bff.session.session import EndReason

RETENTION_AFTER_END: Final = 86_400.0  # seconds that a record and its end reason stay after the end


def put_end_reason(connection: sqlite3.Connection, reason: EndReason, until: float, *names: str) -> None:
    """Keeps why a session ended under each of these names; `until` is in seconds since the epoch."""
    connection.executemany(
        "INSERT OR REPLACE INTO end_reason (name, reason, until) VALUES (?, ?, ?)",
        [(name, reason.value, until) for name in names],
    )


def take_end_reason(connection: sqlite3.Connection, name: str, until: float | None) -> list[Any]:
    """Its reason and the time until which it was kept. It is deleted, or kept until `until` at most."""
    if until is None:
        statement, values = "DELETE FROM end_reason WHERE name = ? RETURNING reason, until", (name,)
        return connection.execute(statement, values).fetchall()
    statement = "UPDATE end_reason SET until = min(until, ?) WHERE name = ? RETURNING reason, until"
    return connection.execute(statement, (until, name)).fetchall()
