"""What only a file can do wrong: permissions, a full disk, another process's lock, a kill in the middle."""

import asyncio
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.session import EndReason, SessionKey
from bff.storage.sqlite.store import SqliteStore
from bff.storage.timeouts import SqliteTimeouts
from bff.telemetry.metrics import REGISTRY
from tests.harness.example_session import a_session, created, next_version, session_of
from tests.harness.patience import PATIENT_SQLITE
from tests.harness.waiting import PATIENCE

RING = KeyRing.from_keys([bytes(range(32))])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "bff.db", RING, timeouts=PATIENT_SQLITE)
    yield opened
    await opened.close()


async def test_no_other_user_can_read_the_files(tmp_path: Path, store: SqliteStore) -> None:
    await store.create(a_session(await store.now()))
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert modes == {"bff.db": 0o600, "bff.db-wal": 0o600, "bff.db-shm": 0o600, "bff.db-clock": 0o600}


async def test_another_process_that_locks_the_file_stops_writes_but_not_reads(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "bff.db", RING, timeouts=SqliteTimeouts(busy=0.2, answer=PATIENCE))
    session = await created(store)
    other = sqlite3.connect(tmp_path / "bff.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    write = asyncio.ensure_future(store.replace(next_version(session), 1))
    assert session_of(await store.get(session.key)) == session
    with pytest.raises(StoreUnavailable, match="SQLITE_BUSY") as refusal:
        await write
    assert refusal.value.retry_after == 1
    other.execute("COMMIT")
    other.close()
    assert (await store.replace(next_version(session), 1)).done
    await store.close()


@pytest.mark.case("ST-020")
async def test_a_poisoned_row_is_no_session(tmp_path: Path, store: SqliteStore) -> None:
    session, other = await created(store), await created(store)
    connection = sqlite3.connect(tmp_path / "bff.db", isolation_level=None)
    poison = [b"\x80\x04.", b"x" * 1_000_000, connection.execute("SELECT record FROM session").fetchall()[1][0]]
    for record in poison:
        connection.execute("UPDATE session SET record = ? WHERE key = ?", (record, session.key))
        assert session_of(await store.get(session.key)) is None
        assert list(await store.find("sub", session.user.sub)) == []
    connection.close()
    assert await store.delete(session.key, EndReason.OPERATOR) is None
    assert session_of(await store.get(other.key)) == other


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.proof.stores.test_sqlite import RING
from tests.harness.example_session import created
from bff.storage.sqlite.store import SqliteStore
from tests.harness.patience import PATIENT_SQLITE

async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]), RING, timeouts=PATIENT_SQLITE)
    async def one() -> None:
        while True:
            session = await created(store)
            print(session.key, flush=True)
    await asyncio.gather(*(one() for _ in range(20)))

asyncio.run(main())
"""


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "bff.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(300)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in process.stdout if line.endswith("\n")]
    store = SqliteStore(path, RING, timeouts=PATIENT_SQLITE)
    for key in acknowledged:
        assert session_of(await store.get(SessionKey(key))) is not None
    await store.close()


FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from bff.errors import StoreUnavailable
from tests.proof.stores.test_sqlite import RING
from tests.harness.example_session import a_session, next_version, session_of
from bff.storage.sqlite.store import SqliteStore
from tests.harness.patience import PATIENT_SQLITE

async def main() -> None:
    store = SqliteStore(Path(sys.argv[1]), RING, timeouts=PATIENT_SQLITE)
    now = await store.now()
    kept = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    refusal = ""
    for _ in range(1000):
        session = a_session(now)
        try:
            await store.create(session)
        except StoreUnavailable as error:
            refusal = str(error)
            break
        kept.append(session)
    pinged = True
    try:
        for _ in range(5):
            await store.ping()
    except StoreUnavailable:
        pinged = False
    readable = [session_of(await store.get(each.key)) == each for each in kept]
    refused = session_of(await store.get(session.key)) is None
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await store.create(session)
    await store.ping()
    replaced = (await store.replace(next_version(kept[0]), 1)).done
    await store.close()
    print(json.dumps([len(kept) > 3, all(readable), refused, replaced, pinged, refusal]))

asyncio.run(main())
"""


def test_a_full_disk_refuses_a_write_keeps_what_was_written_and_heals(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "bff.db")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    *facts, pinged, refusal = json.loads(told.stdout)
    assert facts == [True, True, True, True]
    assert not pinged
    assert "SQLITE_" in refusal


async def test_what_the_database_does_not_answer_is_counted(tmp_path: Path, store: SqliteStore) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("bff_store_errors_total") or 0.0

    before = counted()
    with sqlite3.connect(tmp_path / "bff.db") as other:
        other.execute("DROP TABLE session")
    other.close()
    with pytest.raises(StoreUnavailable):
        await store.get(a_session().key)
    assert counted() == before + 1
    with pytest.raises(StoreUnavailable):
        await store.create(a_session(await store.now()))
    assert counted() == before + 2
