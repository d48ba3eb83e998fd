"""What a Redis that misbehaves may reply, and the names that the store gives to its keys."""

from typing import Any

import pytest

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing, new_session_id
from bff.session.revocation import Revocation
from bff.session.session import EndReason
from bff.session.store import Missing
from bff.storage.redis import eviction
from bff.storage.redis.circuit_breaker import FAILURES, PAUSE, CircuitBreaker
from bff.storage.redis.client import RedisLink
from bff.storage.redis.one_time_value import OneTimeValues
from bff.storage.redis.store import RedisStore
from bff.storage.redis.topology import OneServer
from bff.storage.timeouts import RedisTimeouts
from tests.harness.example_session import a_session
from tests.unit.storage.redis.network import Server, error, pool_of

KEY = new_session_id().key


def store_of(reply: Any, ring: KeyRing) -> tuple[RedisStore, Server]:
    server = Server(lambda command: [b"master", 0, []] if command[0] == "ROLE" else reply)
    return RedisStore(RedisLink(OneServer(pool_of({1: server}, 1)), RedisTimeouts()), ring, "p:"), server


@pytest.mark.parametrize("reply", [None, [], 7, [b"x", b"y"], [b"1", b"x", b"y", b"z", b"0"]])
async def test_an_unexpected_reply_is_unavailable_and_never_a_missing_session(reply: Any, ring: KeyRing) -> None:
    store, _ = store_of(reply, ring)
    with pytest.raises(StoreUnavailable):
        await store.get(KEY)
    with pytest.raises(StoreUnavailable):
        await store.now()
    if reply not in (None, []):
        with pytest.raises(StoreUnavailable):
            await store.revocations.claim(1, 1.0)


async def test_another_type_of_key_is_no_session_and_another_error_is_unavailable(ring: KeyRing) -> None:
    server = Server(lambda command: [b"1", b"2"] if command[0] == "TIME" else error("WRONGTYPE of key"))
    link = RedisLink(OneServer(pool_of({1: server}, 1)), RedisTimeouts())
    assert await RedisStore(link, ring, "p:").get(KEY) == Missing(1.000002)
    store, _ = store_of(error("NOPERM for this"), ring)
    with pytest.raises(StoreUnavailable, match="NOPERM"):
        await store.get(KEY)


async def test_all_keys_of_a_session_share_a_slot_and_carry_the_prefix(ring: KeyRing) -> None:
    store, server = store_of(1, ring)
    session = a_session(1000.0)
    await store.create(session)
    await store.touch(session.key, 5.0)
    with pytest.raises(StoreUnavailable):
        await store.delete(session.key, EndReason.OPERATOR)
    await store.revocations.add(Revocation("r", "t", "refresh_token", "i", "s", 2000.0))
    commands = [command for command in server.received if command[0] in ("EVAL", "EVALSHA")]
    keys = [str(key) for command in commands for key in command[3 : 3 + int(str(command[2]))]]
    assert all(key.startswith("p:") for key in keys)
    assert {key for key in keys if session.key in key} == {
        f"p:{{{session.key}}}{suffix}" for suffix in ("", ":deleted", ":end")
    }
    assert session.user.sub not in str(server.received)


def test_a_value_is_stored_under_a_hash_of_its_name(ring: KeyRing) -> None:
    values = OneTimeValues(ring, "p:")
    left, taken = values.leaving("name", b"value", 12.5), values.taking("name")
    assert left.key == taken.key
    assert "name" not in left.key
    assert left.args[1] == 12_500
    assert values.taken("name", bytes(left.args[0])) == b"value"  # type: ignore[arg-type]
    assert values.taken("another", bytes(left.args[0])) is None  # type: ignore[arg-type]


INFO, CONFIG = b"# Memory\r\nmaxmemory_policy:%s\r\n", [b"maxmemory-policy", b"allkeys-lru"]


@pytest.mark.parametrize(
    ("servers", "policy"),
    [
        ([[INFO % b"noeviction", error("NOPERM")]], "noeviction"),
        ([[error("NOPERM"), CONFIG]], "allkeys-lru"),
        ([[error("NOPERM"), error("NOPERM")]], None),
        ([[INFO % b"noeviction", None], [None, None]], None),
        ([[INFO % b"noeviction", None], [None, None], [None, CONFIG]], "allkeys-lru"),
    ],
)
def test_the_eviction_policy_of_several_servers(servers: list[list[Any]], policy: str | None) -> None:
    assert eviction.policy_of(servers) == policy


def test_the_circuit_opens_after_some_failures_and_lets_one_probe_through() -> None:
    breaker = CircuitBreaker()
    for _ in range(FAILURES):
        assert breaker.admits(0.0)
        breaker.failed(10.0)
    assert not breaker.admits(10.0 + PAUSE - 0.01)
    assert breaker.admits(10.0 + PAUSE)
    assert not breaker.admits(10.0 + PAUSE), "one at a time"
    breaker.failed(20.0)
    assert breaker.admits(20.0 + PAUSE)
    breaker.succeeded()
    assert breaker.admits(0.0)
