"""The store as it is: real redis-server processes and real database files, none of which a look may change."""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.sqlite_database import run_checks as examine_file
from bff.admin.doctor.store import run_checks
from bff.config.settings import load_settings
from bff.session.keyring import KeyRing, new_key
from bff.storage.open import open_store
from bff.storage.sqlite.database import prepare
from bff.storage.sqlite.filesystem import filesystem_type, is_ephemeral
from tests.harness.patience import PATIENT_REDIS
from tests.harness.redis_rights import ACL
from tests.harness.redis_servers import RedisServer, cluster, one_server, watched
from tests.harness.settings import with_changes
from tests.harness.waiting import PATIENCE

RIGHT = ("--maxmemory-policy", "noeviction")
# Where the tests run in a container's own layer, that is found and told too.
WELL = "warn" if is_ephemeral(filesystem_type(Path(tempfile.gettempdir())) or "") else "ok"


async def looked_at(store: str) -> dict[str, CheckResult]:
    return {one.name: one for one in await run_checks(load_settings(with_changes(store=store)), PATIENT_REDIS)}


def set_to(server: RedisServer, **settings: str) -> None:
    for name, value in settings.items():
        server.ask("CONFIG", "SET", name.replace("_", "-"), value)


# --- SQLite


async def test_a_database_that_a_bff_opened_is_well_and_a_look_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "var" / "bff.db"
    path.parent.mkdir()
    store = open_store(f"sqlite:///{path}", KeyRing.from_keys([new_key()]))
    await store.close()
    before = {each.name: hashlib.sha256(each.read_bytes()).digest() for each in path.parent.iterdir()}
    found = (await looked_at(f"sqlite:///{path}"))["store"]
    assert found.status == WELL
    assert "WAL, synchronous=FULL" in found.observed
    assert {each.name: hashlib.sha256(each.read_bytes()).digest() for each in path.parent.iterdir()} == before


async def test_a_database_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    found = (await looked_at(f"sqlite:///{tmp_path}/new/bff.db"))["store"]
    assert found.status == WELL
    assert "a new file" in found.observed
    assert list(tmp_path.iterdir()) == []


async def test_a_relative_path_is_told_as_what_it_means_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert f"SQLite at {tmp_path}/var/bff.db" in (await looked_at("sqlite:///var/bff.db"))["store"].observed


def another_programs(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 4711")
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    path.chmod(0o600)


def no_database(path: Path) -> None:
    path.write_text("not a database at all, and longer than the hundred bytes of a header\n" * 3)
    path.chmod(0o600)


def a_directory(path: Path) -> None:
    path.mkdir()


def without_wal(path: Path) -> None:
    _ours(path, "PRAGMA journal_mode = DELETE")


def of_another_schema(path: Path) -> None:
    _ours(path, "PRAGMA user_version = 99")


def readable_by_all(path: Path) -> None:
    _ours(path, "SELECT 1")
    path.chmod(0o644)


def _ours(path: Path, statement: str) -> None:
    prepare(path, busy_timeout=PATIENCE)
    connection = sqlite3.connect(path)
    connection.execute(statement).fetchall()
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("make", "status", "seen"),
    [
        (another_programs, "fail", "another program's database"),
        (no_database, "fail", "not a SQLite database"),
        (a_directory, "fail", "is not a file"),
        (without_wal, "fail", "not in WAL mode"),
        (of_another_schema, "fail", "has schema 99"),
        (readable_by_all, "warn", "can be read by other accounts"),
    ],
)
async def test_a_database_that_is_not_well(
    tmp_path: Path, make: Callable[[Path], None], status: str, seen: str
) -> None:
    path = tmp_path / "bff.db"
    make(path)
    found = (await looked_at(f"sqlite:///{path}"))["store"]
    assert (found.status, seen in found.observed) == (status, True), found
    assert found.fix


async def test_a_path_that_leads_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = (await looked_at(f"sqlite:///{tmp_path}/file/bff.db"))["store"]
    assert found.status == "fail"
    assert "cannot be written" in found.observed


def test_a_directory_that_this_account_may_not_even_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "bff.db").touch()
    root = os.geteuid() == 0
    closed.chmod(0)
    if root:
        os.seteuid(65534)  # root may enter everywhere
    try:
        found = examine_file(closed / "bff.db")
    finally:
        if root:
            os.seteuid(0)
        closed.chmod(0o700)
    assert found.status == "fail"
    assert "account of `bff serve`" in found.fix


def test_a_database_in_memory_is_gone_with_the_machine() -> None:
    memory = Path("/dev/shm")
    assert filesystem_type(memory) == "tmpfs", "every Debian has one there; this test needs it"
    assert os.access(memory, os.W_OK)
    found = examine_file(memory / f"bff-{os.getpid()}.db")
    assert found.status == "warn"
    assert "it is on tmpfs" in found.observed
    assert "volume" in found.fix


def test_a_containers_own_layer_is_ephemeral_and_a_volume_does_not() -> None:
    mounts = "1 0 0:1 / / rw - overlay overlay rw\n2 1 8:1 / /var/lib/bff rw - ext4 /dev/sda1 rw\n"
    layer, volume = (filesystem_type(Path(path), mounts) for path in ("/srv/bff.db", "/var/lib/bff/bff.db"))
    assert (layer, volume) == ("overlay", "ext4")
    assert is_ephemeral(str(layer))
    assert not is_ephemeral(str(volume))


# --- Redis


async def test_a_redis_that_keeps_what_it_was_given(tmp_path: Path) -> None:
    with one_server(tmp_path, *RIGHT) as server:
        set_to(server, appendonly="yes")
        server.ask("CONFIG", "RESETSTAT")
        found = await looked_at(server.url)
        assert {name: one.status for name, one in found.items()} == {
            "store": "ok",
            "store_eviction": "ok",
            "store_persistence": "ok",
        }
        assert "appendfsync everysec" in found["store_persistence"].observed
        assert server.ask("DBSIZE") == 0
        said = str(server.ask("INFO", "commandstats"))
        assert "cmdstat_config|get" in said
        assert not [word for word in ("cmdstat_set", "cmdstat_config|set", "cmdstat_eval") if f"{word}'" in said]


@pytest.mark.parametrize(
    ("settings", "name", "status", "word"),
    [
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "100mb"}, "store_eviction", "fail", "noeviction"),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": "100mb"}, "store_eviction", "fail", "noeviction"),
        ({"maxmemory_policy": "allkeys-lru"}, "store_eviction", "fail", "noeviction"),
        ({"appendonly": "no", "save": ""}, "store_persistence", "fail", "appendonly yes"),
        ({"appendonly": "no", "save": "60 1"}, "store_persistence", "warn", "appendonly yes"),
        ({"appendfsync": "no"}, "store_persistence", "warn", "appendfsync everysec"),
    ],
)
async def test_a_redis_that_forgets(
    tmp_path: Path, settings: dict[str, str], name: str, status: str, word: str
) -> None:
    with one_server(tmp_path, *RIGHT) as server:
        set_to(server, appendonly="yes")
        set_to(server, **settings)
        found = await looked_at(server.url)
    assert found[name].status == status
    assert word in found[name].fix


async def test_a_replica_takes_no_writes_and_a_master_tells_of_its_replicas(tmp_path: Path) -> None:
    with watched(tmp_path) as servers:
        replica = await looked_at(servers.servers[1].url)
        assert replica["store"].status == "fail"
        assert "redis+sentinel://" in replica["store"].fix
        master = await looked_at(servers.url)
        assert master["store"].status == "ok"
        assert "replicas: 1" in master["store"].observed
        # Nothing is on the disk here, and yet something outlives the master.
        assert master["store_persistence"].status == "warn"


async def test_every_master_of_a_cluster_is_asked(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        for server in servers:
            set_to(server, appendonly="yes")
        url = f"redis+cluster://127.0.0.1:{servers[0].port}"
        assert {one.status for one in (await looked_at(url)).values()} == {"ok"}
        set_to(servers[2], maxmemory_policy="allkeys-random", maxmemory="100mb")
        assert (await looked_at(url))["store_eviction"].status == "fail"


@pytest.mark.parametrize("info", [True, False])
async def test_a_user_with_few_rights_is_told_what_to_look_at(tmp_path: Path, info: bool) -> None:
    """The documented rights are enough to know: INFO is among them. A user without it is told to look by hand."""
    with one_server(tmp_path, *RIGHT) as server:
        set_to(server, appendonly="yes")
        rights = ACL if info else ACL.replace("+info", "")
        server.ask("ACL", "SETUSER", "bff", "on", ">canary-password", "~bff:*", *rights.split())
        found = await looked_at(f"redis://bff:canary-password@127.0.0.1:{server.port}")
        assert found["store"].status == "ok"
        for name in ("store_eviction", "store_persistence"):
            assert found[name].status == ("ok" if info else "warn")
            assert info or "maxmemory-policy noeviction, appendonly yes" in found[name].fix


async def test_managed_redis_forbids_config_and_info_is_enough(tmp_path: Path) -> None:
    with one_server(tmp_path, *RIGHT) as server:
        set_to(server, appendonly="yes")
        server.ask("ACL", "SETUSER", "default", "-config")
        found = await looked_at(server.url)
    assert found["store_eviction"].status == "ok"
    assert found["store_persistence"].status == "ok"


async def test_a_redis_that_does_not_let_us_in_or_is_not_there(tmp_path: Path) -> None:
    with one_server(tmp_path) as server:
        set_to(server, requirepass="canary-right-password")
        wrong = await looked_at(f"redis://:canary-wrong-password@127.0.0.1:{server.port}")
        none = await looked_at(server.url)
        url = server.url
    gone = await looked_at(url)
    for found in (wrong, none, gone):
        assert found.keys() == {"store"}
        assert found["store"].status == "fail"
        assert "canary" not in found["store"].observed + found["store"].fix
    assert "rejects the credentials" in wrong["store"].observed
    assert "rejects the credentials" in none["store"].observed
    assert "cannot be reached" in gone["store"].observed
