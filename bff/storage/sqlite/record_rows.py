"""Statements on the rows of one record, inside a write."""

import sqlite3

from bff.session.store import IndexName


def write_id(connection: sqlite3.Connection, key: str) -> str | None:
    rows = connection.execute("SELECT write_id FROM session WHERE key = ?", (key,)).fetchall()
    return str(rows[0][0]) if rows else None


def write_entries(connection: sqlite3.Connection, key: str, entries: tuple[tuple[IndexName, str], ...]) -> None:
    rows = [(name, hashed, key) for name, hashed in entries]
    connection.executemany("INSERT OR IGNORE INTO session_index (name, hash, key) VALUES (?, ?, ?)", rows)
