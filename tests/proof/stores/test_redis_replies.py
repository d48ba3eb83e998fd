"""Every request gets its own reply, and a write whose reply is lost is done once."""

import asyncio
import random
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from redis.asyncio import ConnectionPool

from bff.session.keyring import KeyRing
from bff.session.session import EndReason
from bff.storage.open import open_store
from bff.storage.redis.topology import exchange
from tests.harness.example_session import a_session, next_version, session_of
from tests.harness.lossy_proxy import LossyProxy
from tests.harness.patience import PATIENT_STORES
from tests.harness.redis_servers import RedisServer
from tests.harness.waiting import loop_turns


@pytest.mark.case("ST-001")
@pytest.mark.parametrize("times", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_a_cancelled_exchange_leaves_no_reply_to_the_next(redis_server: RedisServer, times: int) -> None:
    pool = ConnectionPool(port=redis_server.port, protocol=2, max_connections=64)
    names = [f"canary-{n}" for n in range(50)]
    await exchange(pool, [("SET", name, name) for name in names])
    chance = random.Random(1)
    wrong, cancelled = [], 0

    async def ask() -> None:
        chosen = chance.choices(names, k=chance.randint(1, 3))
        replies = await exchange(pool, [("GET", name) for name in chosen])
        if replies != [name.encode() for name in chosen]:
            wrong.append((chosen, replies))

    async def close_connection() -> None:
        # The next caller takes the connection at once, while the reply may still be on its way.
        nonlocal cancelled
        while cancelled < times:
            task = asyncio.ensure_future(ask())
            await loop_turns(chance.randint(0, 12))
            cancelled += chance.random() < 0.8 and task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    await asyncio.gather(*(close_connection() for _ in range(20)))
    assert wrong == []
    await pool.aclose()


@pytest.mark.case("ST-001")
async def test_a_cancelled_caller_is_never_answered_to_another(redis_server: RedisServer, ring: KeyRing) -> None:
    store = open_store(f"{redis_server.url}?prefix={uuid4().hex}:", ring, timeouts=PATIENT_STORES)
    now = await store.now()
    sessions = {each.key: each for each in (a_session(now) for _ in range(30))}
    await asyncio.gather(*map(store.create, sessions.values()))
    chance = random.Random(2)

    async def act() -> None:
        session = chance.choice(list(sessions.values()))
        match chance.randrange(5):
            case 0:
                found = list(await store.find("sub", session.user.sub))
                assert [each.user for each in found] == [session.user]
            case 1:
                assert await store.take_end_reason(f"nobody {chance.random()}") is None
            case 2:
                await store.touch(session.key, now + chance.random())
            case _:
                read = session_of(await store.get(session.key))
                assert read is not None
                assert (read.user, read.tokens) == (session.user, session.tokens)

    for _ in range(60):
        tasks = [asyncio.ensure_future(act()) for _ in range(40)]
        await loop_turns(chance.randint(0, 10))
        for victim in chance.sample(tasks, 20):
            victim.cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [each for each in answers if isinstance(each, Exception)] == []
    await store.close()


@pytest.fixture
async def lossy(redis_server: RedisServer) -> AsyncIterator[LossyProxy]:
    proxy = LossyProxy(redis_server.port)
    await proxy.start()
    yield proxy
    await proxy.close()


@pytest.mark.case("ST-002")
async def test_a_write_whose_reply_is_lost_is_done_once_and_answered(
    lossy: LossyProxy, redis_server: RedisServer, ring: KeyRing
) -> None:
    prefix = f"?prefix={uuid4().hex}:"
    store = open_store(f"redis://127.0.0.1:{lossy.port}{prefix}", ring, timeouts=PATIENT_STORES)
    replica = open_store(f"{redis_server.url}{prefix}", ring, timeouts=PATIENT_STORES)
    now = await store.now()
    session, other = a_session(now), a_session(now)

    lossy.lose_next_reply_to(session.key.encode())
    await store.create(session)
    lossy.lose_next_reply_to(f"{{{session.key}}}".encode())
    moved = next_version(session, rotation=2)
    assert (await store.replace(moved, 1)).done
    assert not (await replica.replace(next_version(session, acr="late"), 1)).done

    lossy.lose_next_reply_to(b":claim:")
    assert await store.claim_once("jti", now + 60)
    assert not await replica.claim_once("jti", now + 60)

    lossy.lose_next_reply_to(b":deleted")
    assert await store.delete(session.key, EndReason.BACK_CHANNEL) == moved
    assert await replica.delete(session.key, EndReason.OPERATOR) is None
    lossy.lose_next_reply_to(b":end")
    assert await store.take_end_reason(session.key) is EndReason.BACK_CHANNEL
    assert await replica.take_end_reason(session.key) is None

    lossy.lose_next_reply_to(b":by-sid:")
    await store.create(other)
    lossy.lose_next_reply_to(other.key.encode())
    assert session_of(await store.get(other.key)) == other
    assert lossy.lost == 7
    await store.close()
    await replica.close()
