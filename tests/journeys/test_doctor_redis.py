"""`bff doctor` and a Redis store: real redis-server processes, which the check only reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bff.admin.doctor.check_result import CheckResult
from bff.admin.doctor.store import run_checks
from bff.config.settings import load_settings
from tests.harness.patience import PATIENT_REDIS
from tests.harness.redis_rights import ACL
from tests.harness.redis_servers import RedisServer, cluster, one_server, watched
from tests.harness.settings import with_changes

HEALTHY = {"store": "ok", "eviction": "ok", "persistence": "ok"}


async def checked(store: str) -> dict[str, CheckResult]:
    return {result.name: result for result in await run_checks(load_settings(with_changes(store=store)), PATIENT_REDIS)}


def statuses(results: dict[str, CheckResult]) -> dict[str, str]:
    return {name.removeprefix("store_"): result.status for name, result in results.items()}


@contextmanager
def healthy_server(folder: Path) -> Iterator[RedisServer]:
    with one_server(folder) as server:
        configure(server, maxmemory_policy="noeviction", appendonly="yes")
        yield server


def configure(server: RedisServer, **settings: str) -> None:
    for name, value in settings.items():
        server.ask("CONFIG", "SET", name.replace("_", "-"), value)


async def test_a_healthy_server_is_only_read(tmp_path: Path) -> None:
    with healthy_server(tmp_path) as server:
        server.ask("CONFIG", "RESETSTAT")
        results = await checked(server.url)
        assert statuses(results) == HEALTHY
        assert "appendfsync everysec" in results["store_persistence"].observed
        assert server.ask("DBSIZE") == 0
        commands = str(server.ask("INFO", "commandstats"))
        assert "cmdstat_config|get" in commands
        for write in ("cmdstat_set", "cmdstat_config|set", "cmdstat_eval"):
            assert f"{write}'" not in commands


async def test_a_server_that_evicts_or_does_not_persist(tmp_path: Path) -> None:
    with healthy_server(tmp_path) as server:
        configure(server, maxmemory_policy="allkeys-lru", maxmemory="100mb")
        assert statuses(await checked(server.url)) == {**HEALTHY, "eviction": "fail"}
        configure(server, maxmemory_policy="noeviction", appendonly="no", save="")
        assert statuses(await checked(server.url)) == {**HEALTHY, "persistence": "fail"}


async def test_a_replica_accepts_no_writes(tmp_path: Path) -> None:
    with watched(tmp_path) as servers:
        replica = (await checked(servers.servers[1].url))["store"]
        assert (replica.status, "redis+sentinel://" in replica.fix) == ("fail", True)
        master = await checked(servers.url)
        assert (master["store"].status, master["store_persistence"].status) == ("ok", "warn")
        assert "replicas: 1" in master["store"].observed


async def test_every_master_of_a_cluster_is_checked(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        for server in servers:
            configure(server, appendonly="yes")
        url = f"redis+cluster://127.0.0.1:{servers[0].port}"
        assert statuses(await checked(url)) == HEALTHY
        configure(servers[2], maxmemory_policy="allkeys-random", maxmemory="100mb")
        assert statuses(await checked(url)) == {**HEALTHY, "eviction": "fail"}


async def test_the_documented_rights_suffice(tmp_path: Path) -> None:
    with healthy_server(tmp_path) as server:
        for rights, expected in ((ACL, "ok"), (ACL.replace("+info", ""), "warn")):
            server.ask("ACL", "SETUSER", "bff", "reset", "on", ">canary-password", "~bff:*", *rights.split())
            results = await checked(f"redis://bff:canary-password@127.0.0.1:{server.port}")
            assert statuses(results) == {"store": "ok", "eviction": expected, "persistence": expected}
        server.ask("ACL", "SETUSER", "default", "-config")  # as managed services do
        assert statuses(await checked(server.url)) == HEALTHY


async def test_a_server_that_rejects_the_credentials_or_is_away(tmp_path: Path) -> None:
    with one_server(tmp_path) as server:
        configure(server, requirepass="canary-right-password")
        wrong = await checked(f"redis://:canary-wrong-password@127.0.0.1:{server.port}")
        none = await checked(server.url)
    away = await checked(server.url)
    for results, observed in ((wrong, "rejects the credentials"), (none, "rejects the"), (away, "cannot be reached")):
        assert statuses(results) == {"store": "fail"}
        assert observed in results["store"].observed
        assert "canary" not in str(results)
