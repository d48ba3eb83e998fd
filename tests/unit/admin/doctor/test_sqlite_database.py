"""A SQLite store on disk, which the check only reads."""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.sqlite_database import run_checks as check_file
from bff.admin.doctor.store import run_checks
from bff.config.settings import load_settings
from bff.session.keyring import KeyRing, new_key
from bff.storage.open import open_store
from bff.storage.sqlite.database import prepare
from bff.storage.sqlite.filesystem import filesystem_type, is_ephemeral
from tests.harness.settings import with_changes
from tests.harness.waiting import PATIENCE

# The file system of a container is remarked upon.
HEALTHY = "warn" if is_ephemeral(filesystem_type(Path(tempfile.gettempdir())) or "") else "ok"


async def checked(path: object) -> CheckResult:
    (result,) = await run_checks(load_settings(with_changes(store=f"sqlite:///{path}")))
    return result


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: hashlib.sha256(file.read_bytes()).digest() for file in folder.iterdir()}


async def test_a_database_that_a_bff_has_opened_is_healthy_and_left_as_it_was(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/bff.db", KeyRing.from_keys([new_key()]))
    await store.close()
    before = contents(tmp_path)
    result = await checked(f"{tmp_path}/bff.db")
    assert (result.status, "WAL, synchronous=FULL" in result.observed) == (HEALTHY, True)
    assert contents(tmp_path) == before


async def test_a_database_that_does_not_exist_yet_is_not_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = await checked("new/bff.db")
    assert result.status == HEALTHY
    assert f"SQLite at {tmp_path}/new/bff.db, a new file" in result.observed
    assert list(tmp_path.iterdir()) == []


def ours(path: Path, statement: str = "SELECT 1") -> Path:
    prepare(path, busy_timeout=PATIENCE)
    return changed(path, statement)


def changed(path: Path, *statements: str) -> Path:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.commit()
    connection.close()
    path.chmod(0o600)
    return path


def no_database(path: Path) -> None:
    path.write_text("longer than the hundred bytes of a header\n" * 9)
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("make", "status", "seen"),
    [
        (
            lambda path: changed(path, "PRAGMA application_id = 4711", "CREATE TABLE theirs (x)"),
            "fail",
            "another program",
        ),
        (no_database, "fail", "not a SQLite database"),
        (Path.mkdir, "fail", "is not a file"),
        (lambda path: ours(path, "PRAGMA journal_mode = DELETE"), "fail", "not in WAL mode"),
        (lambda path: ours(path, "PRAGMA user_version = 99"), "fail", "has schema 99"),
        (lambda path: ours(path).parent.chmod(0o755), "warn", "is open to other accounts"),
        (lambda path: ours(path).chmod(0o644), "warn", "can be read by other accounts"),
    ],
)
async def test_an_unhealthy_database(tmp_path: Path, make: Callable[[Path], object], status: str, seen: str) -> None:
    path = tmp_path / "bff.db"
    make(path)
    result = await checked(path)
    assert (result.status, seen in result.observed) == (status, True), result
    assert result.fix


async def test_a_path_that_leads_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = await checked(f"{tmp_path}/file/bff.db")
    assert (result.status, "cannot be written" in result.observed) == ("fail", True)


def test_a_directory_that_this_account_may_not_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "bff.db").touch()
    root = os.geteuid() == 0
    closed.chmod(0)
    if root:
        os.seteuid(65534)  # root may enter everywhere
    try:
        result = check_file(closed / "bff.db")
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o700)
    assert result.status == "fail"
    assert "account of `bff serve`" in result.fix


def test_a_database_in_memory_is_a_warning() -> None:
    memory = Path("/dev/shm")
    assert filesystem_type(memory) == "tmpfs", "every Debian has one there; this test needs it"
    assert os.access(memory, os.W_OK)
    result = check_file(memory / f"bff-{os.getpid()}.db")
    assert result.status == "warn"
    assert "it is on tmpfs" in result.observed
    assert "volume" in result.fix
