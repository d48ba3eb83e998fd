"""What a real Redis says of its eviction policy, and that the BFF does not start on one that evicts sessions."""

from pathlib import Path

import pytest

from bff.session.keyring import KeyRing
from bff.session.store import SessionStore
from bff.storage.open import open_store
from tests.harness.bff_command import bff
from tests.harness.patience import PATIENT_STORES
from tests.harness.redis_servers import RedisServer, cluster, one_server
from tests.harness.settings import with_changes

POLICIES = ("noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-ttl")


async def test_each_policy_is_reported_with_or_without_a_limit(own_server: RedisServer, store: SessionStore) -> None:
    for policy in POLICIES:
        for limit in ("0", "100mb"):
            own_server.ask("CONFIG", "SET", "maxmemory", limit)
            own_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
            assert await store.eviction_policy() == policy


@pytest.mark.parametrize("forbidden", ["-config", "-info"])
async def test_one_of_two_commands_is_enough_to_know(
    own_server: RedisServer, store: SessionStore, forbidden: str
) -> None:
    own_server.ask("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    own_server.ask("ACL", "SETUSER", "default", forbidden)
    assert await store.eviction_policy() == "volatile-lru"


async def test_one_evicting_server_of_a_cluster_is_enough(tmp_path: Path, ring: KeyRing) -> None:
    with cluster(tmp_path) as servers:
        store = open_store(f"redis+cluster://127.0.0.1:{servers[0].port}", ring, timeouts=PATIENT_STORES)
        assert await store.eviction_policy() == "noeviction"
        servers[1].ask("ACL", "SETUSER", "default", "-config", "-info")
        assert await store.eviction_policy() is None
        servers[2].ask("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        assert await store.eviction_policy() == "allkeys-random"
        await store.close()


def test_bff_serve_does_not_start_and_says_how_to_fix_it(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis", "--maxmemory-policy", "allkeys-lru") as server:
        environ = with_changes(
            store=server.url, issuer="http://127.0.0.1:9", listen="127.0.0.1:0", management_listen="off"
        )
        done = bff("serve", environ=environ, cwd=tmp_path)
    assert done.returncode == 3
    assert "BFF_STORE: is a Redis with maxmemory-policy allkeys-lru" in done.stderr
    assert "BFF_ALLOW_EVICTING_STORE=true" in done.stderr
