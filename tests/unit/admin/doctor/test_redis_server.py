"""What the replies of Redis servers say about eviction and persistence."""

from typing import Any

import pytest

from bff.admin.doctor.redis_server import RedisFacts, eviction, persistence, reachable, read_facts

VALID = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "everysec"}


def facts(role: str = "master", replicas: int = 0, **changes: str | None) -> RedisFacts:
    settings = VALID | {name.replace("_", "-"): value for name, value in changes.items()}  # type: ignore[operator]
    return RedisFacts(role, replicas, {name: value for name, value in settings.items() if value is not None})


def test_facts_are_read_from_info_and_config() -> None:
    info = b"# Persistence\r\naof_enabled:1\r\nmaxmemory_policy:noeviction\r\n"
    config = [[b"maxmemory", b"0"], [b"appendfsync", b"always"]]
    known = read_facts([[1, 2], [b"master", 7, [[b"host", b"1", b"7"]]], info, b"", *config])
    assert (known.role, known.replicas) == ("master", 1)
    assert known.settings["maxmemory-policy"] == "noeviction"
    assert (known.settings["appendonly"], known.settings["appendfsync"]) == ("yes", "always")
    forbidden = PermissionError()
    assert read_facts([[1, 2], forbidden, forbidden, forbidden, forbidden]) == RedisFacts()
    assert read_facts([[1, 2], [b"slave", b"host", 1], b"aof_enabled:0"]).settings["appendonly"] == "no"


@pytest.mark.parametrize(
    ("changes", "status", "observed"),
    [
        ({}, "ok", "noeviction"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "1000"}, "fail", "evicts sessions"),
        ({"maxmemory_policy": "volatile-ttl", "maxmemory": "1000"}, "fail", "evicts sessions"),
        ({"maxmemory_policy": "allkeys-lru"}, "fail", "only because no maxmemory is set"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "0"}, "fail", "only because no maxmemory is set"),
        ({"maxmemory_policy": None}, "warn", "does not report maxmemory-policy"),
    ],
)
def test_eviction(changes: dict[str, Any], status: str, observed: str) -> None:
    result = eviction([facts(), facts(**changes)])
    assert (result.status, observed in result.observed) == (status, True), result
    assert bool(result.fix) is (status != "ok")


@pytest.mark.parametrize(
    ("changes", "status", "observed"),
    [
        ({}, "ok", "appendfsync everysec"),
        ({"appendfsync": "no"}, "warn", "up to 30 seconds"),
        ({"appendonly": "no", "save": ""}, "fail", "signs every user out"),
        ({"appendonly": "no", "save": "60 1"}, "warn", "Only snapshots"),
        ({"appendonly": "no", "save": "", "replicas": 1}, "warn", "only in a replica"),
        ({"appendonly": "no"}, "warn", "does not report its snapshot settings"),
        ({"appendonly": None}, "warn", "does not report its persistence settings"),
        ({"aof_last_write_status": "err"}, "fail", "could not write"),
    ],
)
def test_persistence(changes: dict[str, Any], status: str, observed: str) -> None:
    result = persistence([facts(), facts(**changes)])
    assert (result.status, observed in result.observed) == (status, True), result
    assert bool(result.fix) is (status != "ok")


def test_a_replica_is_not_the_store() -> None:
    assert reachable("Redis", [facts(), facts("slave")]).status == "fail"
    result = reachable("Redis", [facts(replicas=1), facts(replicas=2)])
    assert (result.status, result.observed) == ("ok", "Redis: 2 masters, replicas: 1, 2")
