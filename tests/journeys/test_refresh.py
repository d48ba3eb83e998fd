"""Refreshes that need a wire, a browser or two clocks to go wrong; the rest is in `tests/unit/flows/refresh`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.pages import problem
from tests.harness.patience import PATIENT
from tests.harness.waiting import until
from tests.harness.world import World, small_world

LIFE = 300


@asynccontextmanager
async def due(directory: Path, **more: Any) -> AsyncIterator[tuple[World, Browser]]:
    """Alice signed in, her access token expired a second ago."""
    policy = RotationPolicy(access_token_lifetime=LIFE, **more.pop("policy", {}))
    async with small_world(directory, rotation=policy, timeouts=PATIENT, **more) as world:
        browser = await world.signed_in()
        world.advance(LIFE + 1)
        yield world, browser


async def status(browser: Browser) -> int:
    return (await browser.fetch("/api/x")).status_code


async def until_served(browser: Browser) -> None:
    """Calls as a patient SPA does: 503 means to come back later."""

    async def served() -> bool:
        answer = await status(browser)
        assert answer in (200, 503)
        return answer == 200

    await until(served)


async def test_the_first_call_a_few_seconds_after_an_outage_is_served(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        await world.okta.control.down(how="refuse")
        for _ in range(8):  # a back-off that goes on doubling would be half a minute by then
            assert problem(await browser.fetch("/api/x")) == (503, "provider_unavailable")
            world.advance(3)
        await world.okta.control.up()
        assert await status(browser) == 200


@pytest.mark.case("RF-030")
async def test_a_clock_that_steps_back_an_hour_in_the_middle_harms_nothing(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.fault("slow_answer", delay=0.4)
        caller = asyncio.create_task(status(browser))
        await until(lambda: world.okta.control.refresh_requests == 1)
        world.clock.ahead -= 3600
        assert await caller in (200, 503)
        world.clock.ahead += 3600
        await until_served(browser)
        assert world.okta.control.reuse_alarms == 0


@pytest.mark.case("RF-031")
async def test_the_clock_of_the_provider_may_be_minutes_off(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=LIFE), timeouts=PATIENT) as world:
        browser = await world.signed_in()
        world.okta.control.advance(-200)
        for seconds in (LIFE + 1, LIFE - 100):
            world.clock.ahead += seconds
            assert await status(browser) == 200
        assert world.okta.control.refresh_requests <= 2


@pytest.mark.case("RF-055")
async def test_a_sign_in_of_somebody_else_during_a_refresh_never_gets_its_tokens(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.fault("slow_answer", delay=0.5, grant="refresh_token")
        caller = asyncio.create_task(status(browser))
        await until(lambda: world.okta.control.refresh_requests == 1)
        browser.http.cookies.delete("sid", domain="127.0.0.1", path="/")
        await browser.sign_in("bob@example.com")
        assert await caller in (200, 401, 503)
        await world.settled()
        await until_served(browser)
        assert (await browser.session())["user"]["sub"] == world.sub("bob@example.com")
        stored = await world.stored("bob@example.com")
        assert world.upstream.tokens[-1] == stored.tokens.access_token


@pytest.mark.case("RF-054")
async def test_a_sign_in_in_another_tab_wins_over_the_refresh_of_the_old_session(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        old = browser.cookie("bff-session")
        world.okta.control.fault("slow_answer", delay=0.6, grant="refresh_token")
        caller = asyncio.create_task(status(browser))
        await until(lambda: world.okta.control.refresh_requests == 1)
        await browser.sign_in()
        assert browser.cookie("bff-session") != old
        await caller
        assert await status(browser) == 200
        # Its tokens arrive for a session that was replaced: outside Okta their revocation could end the new one.
        assert world.revoked == [None, None]


@pytest.mark.case("RF-060")
async def test_a_refresh_token_at_the_end_of_its_life_ends_the_session_with_a_reason(tmp_path: Path) -> None:
    async with due(tmp_path, policy={"refresh_token_lifetime": 400}) as (world, browser):
        assert await status(browser) == 200
        world.advance(LIFE + 1)
        assert await status(browser) == 401
        assert (await browser.session())["reason"] == "refresh_token_invalid"
