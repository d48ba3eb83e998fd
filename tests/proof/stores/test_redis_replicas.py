"""Replicas that must have a write, Sentinel that promotes one, and a Cluster that moves a slot."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.session import EndReason
from bff.storage.open import open_store
from bff.storage.timeouts import StoreTimeouts
from tests.harness.example_session import a_session, created, eventually, next_version, session_of
from tests.harness.patience import PATIENT_REDIS
from tests.harness.redis_servers import RedisServer, one_server, watched
from tests.harness.waiting import until

TIMEOUTS = StoreTimeouts(redis=replace(PATIENT_REDIS, acknowledge=0.5))  # not patient with replicas


async def test_a_write_that_no_replica_has_is_not_relied_on(
    own_server: RedisServer, tmp_path: Path, ring: KeyRing
) -> None:
    store = open_store(own_server.url, ring, timeouts=TIMEOUTS)
    with one_server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(own_server.port)) as replica:
        await until(lambda: own_server.ask("ROLE")[2])
        session = a_session(await store.now())
        await eventually(lambda: store.create(session))
        replica.freeze()
        write = next_version(session)
        with pytest.raises(StoreUnavailable, match="acknowledged"):
            await store.replace(write, 1)
        replica.thaw()
        replaced = await eventually(lambda: store.replace(write, 1))
        assert getattr(replaced, "done", False)
        assert replica.ask("HGET", f"bff:{{{session.key}}}", "v") == b"2"
    # Its replica is gone for good: the server that is left goes on alone.
    replaced = await eventually(lambda: store.replace(next_version(write), 2))
    assert getattr(replaced, "done", False)
    await store.close()


async def test_when_sentinel_promotes_the_replica_every_acknowledged_session_is_there(
    tmp_path: Path, ring: KeyRing
) -> None:
    with watched(tmp_path) as servers:
        store = open_store(servers.url, ring, timeouts=TIMEOUTS)
        now = await store.now()
        sessions = [a_session(now) for _ in range(50)]
        await asyncio.gather(*(eventually(lambda each=each: store.create(each)) for each in sessions))
        old = servers.master()
        servers.notice_soon()
        old.stop()
        await eventually(store.ping)
        assert servers.master() is not old
        for session in sessions:
            assert session_of(await store.get(session.key)) == session
        replaced = await eventually(lambda: store.replace(next_version(sessions[0]), 1))
        assert getattr(replaced, "done", False)
        await store.close()


async def test_a_session_is_read_and_written_while_its_slot_moves(
    redis_cluster: list[RedisServer], ring: KeyRing
) -> None:
    store = open_store(f"redis+cluster://127.0.0.1:{redis_cluster[0].port}", ring, timeouts=TIMEOUTS)
    session = await created(store)
    record = f"bff:{{{session.key}}}"
    slot = redis_cluster[0].ask("CLUSTER", "KEYSLOT", record)
    source = next(server for server in redis_cluster if _keeps(server, record))
    target = next(server for server in redis_cluster if server is not source)
    ids = {server: server.ask("CLUSTER", "MYID").decode() for server in redis_cluster}

    target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    # A slot moves with all that is in it, and other tests may have left a key there: a source that keeps one refuses.
    for key in source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000):
        source.ask("MIGRATE", "127.0.0.1", target.port, key, 0, 30_000)
    first = next_version(session, rotation=2)
    assert (await store.replace(first, 1)).done  # answered with ASK
    assert session_of(await store.get(session.key)) == first

    for server in redis_cluster:
        server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    second = next_version(first, rotation=3)
    assert (await store.replace(second, 2)).done  # answered with MOVED
    assert session_of(await store.get(session.key)) == second
    assert await store.delete(session.key, EndReason.OPERATOR) == second
    await store.close()


def _keeps(server: RedisServer, key: str) -> bool:
    return key.encode() in server.ask("KEYS", "*")
