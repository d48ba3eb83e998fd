"""The database file: permissions, pragmas, schema. `store.py` reads and writes it."""

import errno
import os
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Final

from bff.errors import ConfigurationError
from bff.storage.sqlite.filesystem import network_filesystem
from bff.storage.sqlite.group_commit import unavailable

# `user_version` of schema.sql. Within one number tables are only added: an older version finds all of its own.
SCHEMA: Final = 1
APPLICATION: Final = 1111901729  # `application_id`: "BFF!"

# Pages of the write-ahead log after which a commit does a checkpoint itself, when those of `checkpoints.py` do not do.
LOG_LIMIT: Final = 2000

_SETTING: Final = "BFF_STORE"


def prepare(path: Path, *, busy_timeout: float) -> None:
    """Creates or verifies the file and its schema. Waits for another process for `busy_timeout` seconds.

    Raises ConfigurationError or StoreUnavailable.
    """
    _create_file(path)
    try:
        with closing(connect(path, busy_timeout)) as connection:
            _identify(connection)  # before anything of the file changes: it may be another program's
        _close_to_others(path)
        with closing(connect(path, busy_timeout)) as connection:
            _create_schema(connection)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise _misconfigured("the file is not a valid SQLite database.", "Choose another file.") from None
        raise unavailable(error) from None


def _misconfigured(problem: str, fix: str) -> ConfigurationError:
    return ConfigurationError(_SETTING, problem, fix)


def _create_file(path: Path) -> None:
    filesystem = network_filesystem(path)
    if filesystem is not None:
        raise _misconfigured(
            f"{path} is on a network filesystem ({filesystem}), where SQLite loses writes.",
            "Put the file on a local disk, or use Redis.",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # An existing file is not opened: closing it would end the locks that SQLite holds on it in this process
        # (sqlite.org/howtocorrupt.html section 2.2), and another process would then delete the log that is in use.
        if not path.is_file():
            raise _cannot_open(path, OSError(errno.EISDIR, os.strerror(errno.EISDIR))) from None
        if not os.access(path, os.R_OK | os.W_OK):
            raise _cannot_open(path, OSError(errno.EACCES, os.strerror(errno.EACCES))) from None
    except OSError as error:
        raise _cannot_open(path, error) from None


def _close_to_others(path: Path) -> None:
    """Before the database is in WAL mode: the -wal and -shm files inherit its mode."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)
    except OSError as error:
        raise _cannot_open(path, error) from None


def _cannot_open(path: Path, error: OSError) -> ConfigurationError:
    return _misconfigured(f"{path} can't be opened: {error.strerror}.", "Name a writable file.")


def connect(path: Path, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = 0")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        # Some builds overwrite every deleted page, which doubles what a purge writes. Records are sealed anyway.
        connection.execute("PRAGMA secure_delete = FAST").fetchall()
        # Each operation of a group commit has a savepoint, whose journal would be a file from 64 KiB on.
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_LIMIT}").fetchall()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_for_bulk_writes(path: Path) -> sqlite3.Connection:
    """For many commits that may be lost together in a power failure, until a commit of another connection follows."""
    connection = connect(path, 0.0)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _identify(connection: sqlite3.Connection) -> None:
    """Reads only. Raises ConfigurationError unless the database is empty, or ours with this schema."""
    (application,), (version,) = (
        connection.execute(f"PRAGMA {pragma}").fetchone() for pragma in ("application_id", "user_version")
    )
    fresh = (application, version) == (0, 0) and not connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    if not fresh and application != APPLICATION:
        raise _misconfigured("the file is another program's database.", "Choose another file.")
    if not fresh and version != SCHEMA:
        raise _misconfigured(f"the database has schema {version}, this version supports {SCHEMA}.", "Use another file.")


def _create_schema(connection: sqlite3.Connection) -> None:
    """Two processes may start at once: the one that waits for the lock finds the schema."""
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("BEGIN IMMEDIATE")
    _identify(connection)
    for statement in (files("bff.storage.sqlite") / "schema.sql").read_text().split(";\n"):
        connection.execute(statement)  # each one only if its table does not exist yet
    connection.execute("COMMIT")
