"""A Redis that throws sessions away: what the store says of it, and what the start and the watch make of that."""

import asyncio
import logging
from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.flows.eviction_watch import EvictionWatch
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore
from bff.storage.open import open_store
from tests.harness.bff_command import bff
from tests.harness.patience import PATIENT_STORES
from tests.harness.redis_servers import RedisServer, cluster, one_server
from tests.harness.settings import with_changes

EVICTING = "the store evicts sessions when memory runs out"


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl"])
@pytest.mark.parametrize("limit", ["0", "100mb"])
async def test_every_policy_that_evicts_is_refused_with_or_without_a_limit(
    own_server: RedisServer, store: SessionStore, policy: str, limit: str
) -> None:
    own_server.ask("CONFIG", "SET", "maxmemory", limit)
    own_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
    with pytest.raises(ConfigurationError) as refused:
        await EvictionWatch(store, allowed=False).check()
    assert refused.value.setting == "BFF_STORE"
    assert policy in refused.value.problem
    assert "noeviction" in refused.value.fix
    assert "BFF_ALLOW_EVICTING_STORE" in refused.value.fix


async def test_it_may_be_allowed_and_is_told_then(
    own_server: RedisServer, store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    await EvictionWatch(store, allowed=True).check()
    assert [(record.levelno, record.message) for record in caplog.records] == [(logging.WARNING, EVICTING)]


@pytest.mark.parametrize("forbidden", ["-config", "-info"])
async def test_one_of_two_commands_is_enough_to_know(
    own_server: RedisServer, store: SessionStore, forbidden: str
) -> None:
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    own_server.ask("ACL", "SETUSER", "default", forbidden)
    assert await store.eviction_policy() == "volatile-lru"


async def test_what_cannot_be_read_is_a_warning(
    own_server: RedisServer, store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.ask("ACL", "SETUSER", "default", "-config", "-info")
    await EvictionWatch(store, allowed=False).check()
    assert [record.message for record in caplog.records] == ["the store does not report whether it evicts sessions"]


async def test_a_store_that_is_away_is_no_reason_not_to_start(
    own_server: RedisServer, store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    own_server.stop()
    await EvictionWatch(store, allowed=False).check()
    assert any("the session store is not reachable" in record.message for record in caplog.records)


async def test_one_server_of_a_cluster_is_enough(tmp_path: Path, ring: KeyRing) -> None:
    with cluster(tmp_path) as servers:
        store = open_store(f"redis+cluster://127.0.0.1:{servers[0].port}", ring, timeouts=PATIENT_STORES)
        assert await store.eviction_policy() == "noeviction"
        servers[1].ask("ACL", "SETUSER", "default", "-config", "-info")
        assert await store.eviction_policy() is None
        servers[2].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        assert await store.eviction_policy() == "allkeys-random"
        await store.close()


async def test_a_policy_that_is_changed_later_is_an_error_in_the_log(
    own_server: RedisServer, store: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    watch = EvictionWatch(store, allowed=False, every=0.02)
    await watch.check()
    watching = asyncio.create_task(watch.watch())
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")

    wanted = (logging.ERROR, EVICTING)
    async with asyncio.timeout(60):
        while wanted not in [(record.levelno, record.message) for record in caplog.records]:
            await asyncio.sleep(0.02)
    watching.cancel()


def test_bff_serve_does_not_start_and_says_how_to_fix_it(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis", "--maxmemory-policy", "allkeys-lru") as server:
        environ = with_changes(
            store=server.url, issuer="http://127.0.0.1:9", listen="127.0.0.1:0", management_listen="off"
        )
        done = bff("serve", environ=environ, cwd=tmp_path)
    assert done.returncode == 3
    assert "BFF_STORE: is a Redis with maxmemory-policy allkeys-lru" in done.stderr
    assert "BFF_ALLOW_EVICTING_STORE=true" in done.stderr
