"""Pages of records come from the newest to the oldest session."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bff.session.keyring import KeyRing
from bff.session.store import Found, InvalidPosition
from bff.storage.sqlite.database import connect, prepare
from bff.storage.sqlite.expiry import RETENTION_AFTER_END
from bff.storage.sqlite.listing import Listing
from bff.storage.sqlite.session_rows import SessionRows
from tests.harness.example_session import a_session
from tests.harness.waiting import PATIENCE


def reading(connection: sqlite3.Connection) -> Callable[[str, tuple[Any, ...]], Any]:
    async def read(statement: str, values: tuple[Any, ...]) -> list[Any]:
        return connection.execute(statement, values).fetchall()

    return read


async def test_a_page_continues_after_the_last_session_of_the_one_before(tmp_path: Path, ring: KeyRing) -> None:
    prepare(tmp_path / "bff.db", busy_timeout=PATIENCE)
    now, rows = 1_000_000.0, SessionRows(ring)
    sessions = [a_session(now) for _ in range(5)]
    forgotten = a_session(now, ends_at=now - RETENTION_AFTER_END - 1)
    with closing(connect(tmp_path / "bff.db", PATIENCE)) as connection:
        for session in (*sessions[:3], forgotten, *sessions[3:]):
            rows.insert(connection, rows.seal(session), now)
        listing, position, listed = Listing(reading(connection), ring), "", list[str]()
        for size in (2, 2, 1):
            page = await listing.page(position, 2, now)
            assert len(page.records) == size
            listed += [record.session.key for record in page.records if isinstance(record, Found)]
            position = page.following or ""
        assert position == ""
        assert listed == [session.key for session in reversed(sessions)]
        with pytest.raises(InvalidPosition):
            await listing.page("x", 2, now)
        assert set((await listing.keys("")).keys) == {session.key for session in (*sessions, forgotten)}
