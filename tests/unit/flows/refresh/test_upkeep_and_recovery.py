"""What happens to a record beside its refresh: activity, re-encryption, changes of other replicas, lost writes."""

import asyncio
from dataclasses import replace

import pytest

from bff.flows.refresh.failover import CONFIRM_AFTER, FailoverRecovery
from bff.flows.refresh.record_upkeep import RecordUpkeep
from bff.flows.refresh.record_watcher import RecordWatcher
from bff.flows.refresh.timing import StoreClock
from bff.session.session import EndReason
from bff.session.store import Found
from tests.harness.example_session import next_version
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import POLICY, Parts


def test_the_clock_of_the_store_goes_on_with_our_own() -> None:
    ours = 50.0
    clock = StoreClock(1000.0, asked_at=48.0, monotonic=lambda: ours)
    assert clock.now() == 1002.0


async def test_activity_is_written_once_a_minute_and_an_outage_does_no_harm(parts: Parts) -> None:
    session = await parts.signed_in()
    upkeep = RecordUpkeep(parts.store, parts.tasks, POLICY)
    seen = []
    for down in (False, False, True, False):
        stored = await parts.store.get(session.key)
        assert isinstance(stored, Found)
        parts.data.down = down
        upkeep.touch(stored)
        await parts.settled()
        parts.data.down = False
        seen.append(parts.data.sessions[session.key].last_seen_at - session.signed_in_at)
        await time_passes(40)
    assert seen == [0.0, 0.0, 0.0, 120.0]


@pytest.mark.parametrize("change", ["replaced", "deleted"])
async def test_waiters_for_another_replica_share_one_poll_and_see_its_change(parts: Parts, change: str) -> None:
    session = await parts.signed_in()
    watcher = RecordWatcher(parts.store, parts.tasks, asyncio.get_running_loop().time)
    waiters = [asyncio.create_task(watcher.wait_for_change(session.key, 1, 60.0)) for _ in range(5)]
    await time_passes(1)
    assert sum(task.get_name() == "watch 1" for task in asyncio.all_tasks()) == 1
    assert not any(waiter.done() for waiter in waiters)
    parts.data.down = True
    await time_passes(1)
    parts.data.down = False
    if change == "replaced":
        await parts.store.replace(next_version(session), 1)
    else:
        await parts.store.delete(session.key, EndReason.SIGNED_OUT)
    await asyncio.gather(*waiters)
    assert parts.now - session.signed_in_at == pytest.approx(2.1, abs=0.2)


@pytest.mark.parametrize("case", ["over", "another sign-in", "not lost", "deleted"])
async def test_nothing_else_is_written_again(parts: Parts, case: str) -> None:
    session = await parts.signed_in()
    renewed = next_version(session, rotation=2)
    recovery = FailoverRecovery(parts.store, parts.tasks, parts.timing)
    match case:
        case "over":
            parts.data.down = True
            recovery.renewed(renewed)
            await time_passes(POLICY.grace + 1)
            parts.data.down = False
        case "another sign-in":
            recovery.renewed(replace(renewed, signed_in_at=session.signed_in_at - 1))
        case "not lost":
            await parts.store.replace(renewed, 1)
            recovery.renewed(renewed)
        case _:
            await parts.store.delete(session.key, EndReason.SIGNED_OUT)
            recovery.renewed(renewed)
    before = await parts.store.get(session.key)
    assert await recovery.reassert(before) is before


async def test_a_result_that_the_store_lost_is_written_again_without_a_request(parts: Parts) -> None:
    session = await parts.signed_in()
    lost = replace(parts.data.sessions[session.key])
    renewed = next_version(session, rotation=session.rotation + 1)
    await parts.store.replace(renewed, 1)
    recovery = FailoverRecovery(parts.store, parts.tasks, parts.timing)
    recovery.renewed(renewed)
    parts.data.sessions[session.key] = lost
    parts.data.down = True  # the first look fails, the next one does not
    await time_passes(CONFIRM_AFTER + 1)
    parts.data.down = False
    await time_passes(CONFIRM_AFTER)
    assert await parts.stored(session) == renewed


async def test_a_waiter_gives_up_in_time(parts: Parts) -> None:
    session = await parts.signed_in()
    watcher = RecordWatcher(parts.store, parts.tasks, asyncio.get_running_loop().time)
    await watcher.wait_for_change(session.key, 1, 3.0)
    assert parts.now - session.signed_in_at == pytest.approx(3.0)
