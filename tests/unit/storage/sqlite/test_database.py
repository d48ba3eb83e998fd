"""The database file: readable by its owner alone, and refused where it is something else."""

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.storage.sqlite.database import LOG_LIMIT, connect, connect_for_bulk_writes, prepare
from tests.harness.waiting import PATIENCE


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deeper" / "bff.db"
    prepare(path, busy_timeout=PATIENCE)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    with closing(connect(path, PATIENCE)) as connection:
        settings = [("journal_mode", "wal"), ("synchronous", 2), ("trusted_schema", 0), ("user_version", 1)]
        settings += [("secure_delete", 2), ("temp_store", 2), ("wal_autocheckpoint", LOG_LIMIT)]
        for name, value in settings:
            assert connection.execute(f"PRAGMA {name}").fetchone() == (value,)


def test_many_commits_are_synced_by_the_next_one_of_another_connection(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    prepare(path, busy_timeout=PATIENCE)
    with closing(connect_for_bulk_writes(path)) as connection:
        settings = ("journal_mode", "wal"), ("synchronous", 1), ("secure_delete", 2), ("wal_autocheckpoint", LOG_LIMIT)
        for name, value in settings:
            assert connection.execute(f"PRAGMA {name}").fetchone() == (value,)


def test_a_file_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    path.touch()
    path.chmod(0o666)
    prepare(path, busy_timeout=PATIENCE)
    prepare(path, busy_timeout=PATIENCE)  # it is ours now
    assert mode(path) == 0o600


def executed(*statements: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            for statement in statements:
                connection.execute(statement)

    return change


def of_a_newer_version(path: Path) -> None:
    prepare(path, busy_timeout=PATIENCE)
    executed("PRAGMA user_version = 2")(path)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.write_bytes(b"not a database, though long enough to be one" * 50), "not a valid"),
        (lambda path: path.write_bytes(b"\0" * 5000), "not a valid"),
        (executed("CREATE TABLE theirs (x)"), "another program"),
        (executed("PRAGMA user_version = 7"), "another program"),
        (executed("PRAGMA application_id = 7"), "another program"),
        (of_a_newer_version, "schema 2"),
        (lambda path: path.mkdir(), "can't be opened"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, make: Callable[[Path], object], problem: str) -> None:
    path = tmp_path / "bff.db"
    make(path)
    path.chmod(0o755)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(ConfigurationError, match=problem) as refused:
        prepare(path, busy_timeout=PATIENCE)
    assert refused.value.setting == "BFF_STORE"
    assert (path.read_bytes() if path.is_file() else b"", mode(path)) == (before, 0o755), "the file has changed"
