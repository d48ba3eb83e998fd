"""A Redis that is full, demoted, standing still, away, forgetful or poisoned loses nobody a session for it."""

import asyncio
import random

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.session import EndReason
from bff.session.store import SessionStore
from bff.storage import index
from bff.storage.open import open_store
from bff.storage.timeouts import RedisTimeouts, StoreTimeouts
from bff.telemetry.metrics import REGISTRY
from tests.harness.example_session import a_session, created, eventually, next_version, session_of
from tests.harness.redis_servers import RedisServer


@pytest.mark.case("ST-011")
async def test_a_full_server_refuses_writes_and_keeps_what_it_has(own_server: RedisServer, store: SessionStore) -> None:
    session = await created(store)
    own_server.ask("CONFIG", "SET", "maxmemory", 1)
    for _ in range(5):
        with pytest.raises(StoreUnavailable, match="OutOfMemory") as refusal:
            await store.replace(next_version(session), 1)
        assert refusal.value.retry_after == 1
    with pytest.raises(StoreUnavailable):
        await store.ping()
    assert session_of(await store.get(session.key)) == session
    own_server.ask("CONFIG", "SET", "maxmemory", 0)
    assert (await store.replace(next_version(session), 1)).done


@pytest.mark.case("ST-012")
async def test_a_demoted_server_refuses_writes_until_it_is_promoted(
    own_server: RedisServer, redis_server: RedisServer, store: SessionStore
) -> None:
    session = await created(store)
    own_server.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
    own_server.ask("REPLICAOF", "127.0.0.1", 1)
    with pytest.raises(StoreUnavailable, match="ReadOnly"):
        await store.replace(next_version(session), 1)
    assert session_of(await store.get(session.key)) == session
    own_server.ask("REPLICAOF", "NO", "ONE")
    replaced = await eventually(lambda: store.replace(next_version(session), 1))
    assert getattr(replaced, "done", False)


@pytest.mark.case("ST-014")
async def test_a_server_that_stands_still_is_given_up_and_found_again(
    own_server: RedisServer, store: SessionStore, ring: KeyRing
) -> None:
    session = await created(store)
    store = open_store(own_server.url, ring, timeouts=StoreTimeouts(redis=RedisTimeouts(operation=0.5)))
    own_server.freeze()
    calls = (store.get(session.key), store.ping(), store.now(), store.replace(next_version(session), 1))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in answers] == [StoreUnavailable] * 4
    # The circuit is open: most of the callers are refused at once, and one of them is the probe.
    crowd = await asyncio.gather(*(store.now() for _ in range(50)), return_exceptions=True)
    assert sum("tried again in a moment" in str(each) for each in crowd) >= 49
    own_server.thaw()
    replaced = await eventually(lambda: store.replace(next_version(session), 1))
    assert getattr(replaced, "done", False)
    assert session_of(await store.get(session.key)) == next_version(session)
    await store.close()


async def test_a_script_that_the_server_forgot_is_sent_again(own_server: RedisServer, store: SessionStore) -> None:
    session = await created(store)
    own_server.ask("SCRIPT", "FLUSH")
    readings = await asyncio.gather(*(store.get(session.key) for _ in range(5)))
    assert [session_of(reading) for reading in readings] == [session] * 5
    own_server.ask("SCRIPT", "FLUSH")
    assert (await store.replace(next_version(session), 1)).done


@pytest.mark.case("ST-015")
async def test_what_was_evicted_is_gone_and_nothing_else_goes_wrong(
    own_server: RedisServer, store: SessionStore
) -> None:
    chance = random.Random(3)
    for _ in range(20):
        session = await created(store)
        await store.put_end_reason(str(session.browser), EndReason.IDLE_TIMEOUT)
        keys = own_server.ask("KEYS", "bff:*")
        for key in chance.sample(keys, chance.randint(1, len(keys))):
            own_server.ask("DEL", key)
        kept = session_of(await store.get(session.key))
        assert kept in (session, None)
        assert (await store.replace(next_version(session), 1)).done is (kept is not None)
        for name in index.INDEX_NAMES:
            found = list(await store.find(name, str(index.indexed_value(session, name))))
            assert all(each.key == session.key for each in found)
        assert await store.take_end_reason(str(session.browser)) in (EndReason.IDLE_TIMEOUT, None)
        assert ((await store.delete(session.key, EndReason.OPERATOR)) is None) is (kept is None)
        own_server.ask("FLUSHDB")


@pytest.mark.case("ST-020")
async def test_poison_in_the_server_is_no_session(own_server: RedisServer, store: SessionStore) -> None:
    session, other = await created(store), await created(store)
    record = f"bff:{{{session.key}}}"
    stolen = own_server.ask("HGET", f"bff:{{{other.key}}}", "r")
    for poison in ("\x80\x04.", "x" * 1_000_000, stolen, ""):
        own_server.ask("HSET", record, "r", poison)
        assert session_of(await store.get(session.key)) is None
        assert list(await store.find("sub", session.user.sub)) == []
    own_server.ask("HSET", record, "v", "not a number")
    with pytest.raises(StoreUnavailable):
        await store.get(session.key)
    own_server.ask("DEL", record)
    own_server.ask("SET", record, "a string")
    assert session_of(await store.get(session.key)) is None
    assert session_of(await store.get(other.key)) == other


async def test_what_the_server_does_not_answer_is_counted(own_server: RedisServer, store: SessionStore) -> None:
    await store.ping()
    before = counted()
    own_server.ask("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await store.claim_once("x", await store.now() + 60)  # refused
    assert counted() == before + 1
    own_server.stop()
    with pytest.raises(StoreUnavailable):
        await store.get(a_session().key)  # unreachable
    assert counted() == before + 2


def counted() -> float:
    return REGISTRY.get_sample_value("bff_store_errors_total") or 0.0
