"""A store that evicts sessions stops the start, unless that is allowed, and is an error in the log later."""

import logging

import pytest

from bff.errors import ConfigurationError
from bff.flows.eviction_watch import CHECK_INTERVAL, EvictionWatch
from tests.harness.memory_store import MemoryStore
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts


class EvictingStore(MemoryStore):
    policy: str | None = "noeviction"

    async def eviction_policy(self) -> str | None:
        self.data.now()
        return self.policy


@pytest.fixture
def store(parts: Parts) -> EvictingStore:
    return EvictingStore(parts.data, parts.ring)


@pytest.mark.parametrize(
    ("policy", "allowed", "logged"),
    [
        ("noeviction", False, []),
        ("allkeys-lru", True, ["the store evicts sessions when memory runs out"]),
        (None, False, ["the store does not report whether it evicts sessions"]),
        ("down", False, ["the session store is not reachable: requests with a session get 503 until it is"]),
    ],
)
async def test_what_lets_the_application_start(
    store: EvictingStore, policy: str | None, allowed: bool, logged: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    store.policy, store.data.down = policy, policy == "down"
    await EvictionWatch(store, allowed=allowed).check()
    assert [record.message for record in caplog.records] == logged


async def test_an_evicting_store_stops_the_start(store: EvictingStore) -> None:
    store.policy = "volatile-ttl"
    with pytest.raises(ConfigurationError) as refused:
        await EvictionWatch(store, allowed=False).check()
    assert refused.value.setting == "BFF_STORE"
    assert "volatile-ttl" in refused.value.problem
    assert "noeviction" in refused.value.fix
    assert "BFF_ALLOW_EVICTING_STORE" in refused.value.fix


async def test_a_policy_that_changes_later_is_an_error_in_the_log(
    parts: Parts, store: EvictingStore, caplog: pytest.LogCaptureFixture
) -> None:
    parts.tasks.start(EvictionWatch(store, allowed=False).watch(), "watch")
    await time_passes(2 * CHECK_INTERVAL + 1)
    store.data.down = True
    await time_passes(CHECK_INTERVAL)
    store.data.down = False
    assert caplog.records == []
    store.policy = "allkeys-lru"
    await time_passes(CHECK_INTERVAL)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
