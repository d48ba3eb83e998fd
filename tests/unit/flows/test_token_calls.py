"""The provider's limits are kept by us: four calls a second for a person, none while it throttles the client."""

import asyncio
from pathlib import Path

import pytest

from bff.components.timeouts import Timeouts
from bff.flows.refresh.provider_limits import MAX_HOLD, PER_PERSON, TokenRequestLimits
from bff.flows.refresh.timing import RefreshTimeouts
from demo.simulator.grants import RotationPolicy
from tests.harness.world import small_world


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_person_has_four_calls_a_second_and_the_fifth_waits_for_the_first_to_age() -> None:
    clock = Clock()
    calls = TokenRequestLimits(clock, window=1.0)
    for _ in range(PER_PERSON):
        assert calls.reserve_turn("alice") == 0.0
        clock.now += 0.125
    assert calls.reserve_turn("alice") == 0.5
    assert calls.reserve_turn("bob") == 0.0
    assert [calls.reserve_turn("alice") for _ in range(5)] == [0.625, 0.75, 0.875, 1.5, 1.625], (
        "each has a turn of its own"
    )
    clock.now += 3.0
    assert calls.reserve_turn("alice") == 0.0


async def test_whoever_has_many_sessions_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    timeouts = Timeouts(refresh=RefreshTimeouts(per_user=3600.0))
    policy = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=policy, timeouts=timeouts, refresh_concurrency="1") as world:
        many, other = [world.browser() for _ in range(PER_PERSON + 2)], world.browser()
        for browser in many:
            await browser.sign_in("alice@example.com")
        await other.sign_in("bob@example.com")
        world.advance(301)
        queue = [asyncio.create_task(browser.fetch("/api/x")) for browser in many]
        while sum(call.done() for call in queue) < PER_PERSON:
            await asyncio.sleep(0.01)
        assert (await other.fetch("/api/x")).status_code == 200
        assert sum(call.done() for call in queue) == PER_PERSON, "the others wait for an hour, and bob did not"
        for task in asyncio.all_tasks():
            if task.get_name() == "refresh":
                task.cancel()
        assert sorted(answer.status_code for answer in await asyncio.gather(*queue)) == [200] * PER_PERSON + [503] * 2


def test_a_hold_ends_when_the_provider_said_and_never_lasts_longer_than_a_bucket() -> None:
    clock = Clock()
    calls = TokenRequestLimits(clock, window=1.0)
    assert calls.blocked_for() == 0.0
    calls.block(None)
    assert calls.blocked_for() == 1.0
    calls.block(7.0)
    calls.block(3.0)
    assert calls.blocked_for() == 7.0
    calls.block(3600.0)
    assert calls.blocked_for() == MAX_HOLD
    clock.now += MAX_HOLD
    assert calls.blocked_for() == 0.0


@pytest.mark.case("DS-013")
async def test_one_429_for_the_client_is_not_found_out_by_every_session_again(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as world:
        browsers = [world.browser() for _ in range(5)]
        for browser, login in zip(browsers, ["alice@example.com", "bob@example.com"] * 3, strict=False):
            await browser.sign_in(login)
        world.okta.control.fault("rate_limited", times=20, retry_after=30)
        world.advance(301)
        before = world.okta.control.token_requests
        for browser in browsers:
            answer = await browser.fetch("/api/x")
            assert (answer.status_code, answer.json()["code"]) == (503, "provider_unavailable")
            assert 1 <= int(answer.headers["retry-after"]) <= 32
        assert world.okta.control.token_requests == before + 1
