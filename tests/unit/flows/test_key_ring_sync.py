"""Replicas that encrypt under different keys see each other for as long as both run."""

import pytest

from bff.errors import StoreUnavailable
from bff.flows.key_ring_sync import ANNOUNCEMENT_LIFETIME, KeyRingSync
from bff.session.keyring import KeyRing, new_key
from tests.harness.memory_store import MemoryStore
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts

OLD, NEW = new_key(), new_key()


def sync_of(parts: Parts, *keys: bytes) -> KeyRingSync:
    ring = KeyRing.from_keys(keys)
    return KeyRingSync(MemoryStore(parts.data, ring), ring)


async def test_a_replica_with_another_newest_key_is_seen_until_it_stops(parts: Parts) -> None:
    ahead, behind = sync_of(parts, NEW, OLD), sync_of(parts, OLD, NEW)
    running = [parts.tasks.start(sync.announce(), "announce") for sync in (ahead, behind)]
    await time_passes(60)
    assert not await ahead.in_sync()
    assert not await behind.in_sync()
    running[1].cancel()
    await time_passes(ANNOUNCEMENT_LIFETIME + 1)
    assert await ahead.in_sync()


async def test_an_outage_does_not_end_the_announcements(parts: Parts) -> None:
    ahead, behind = sync_of(parts, NEW, OLD), sync_of(parts, OLD, NEW)
    parts.tasks.start(behind.announce(), "announce")
    parts.data.down = True
    await time_passes(20)
    with pytest.raises(StoreUnavailable):
        await ahead.in_sync()
    parts.data.down = False
    await time_passes(3)
    assert not await ahead.in_sync()
