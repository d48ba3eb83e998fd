"""The provider is away for ten minutes of real time, in four ways, and comes back: not one session is lost.

`make test` has the same for some seconds (and, on a simulated clock, for hours: `tests/proof/simulation`).
"""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from tests.harness.redis_servers import one_server
from tests.harness.world import CLIENT_SECRET
from tests.proof.live.fleet import Fleet, running_fleet

How = Literal["refuse", "stall", "error", "invalid_client"]
EVERY: tuple[How, ...] = ("refuse", "stall", "error", "invalid_client")
PEOPLE = 20
BACK_TIMEOUT = 90.0  # seconds: three times the longest back-off

Told = Counter[tuple[int, str]]


async def goes_away(fleet: Fleet, how: How) -> None:
    if how == "invalid_client":
        await fleet.okta.post("/settings", secrets=["a-wrong-secret-that-was-rolled-out-0123456"])
    else:
        await fleet.okta.post("/down", how=how)


async def comes_back(fleet: Fleet, how: How) -> None:
    if how == "invalid_client":
        await fleet.okta.post("/settings", secrets=[CLIENT_SECRET])
    else:
        await fleet.okta.post("/up")


async def called(fleet: Fleet, cookie: str, replica: int) -> tuple[int, str]:
    answer = await fleet.call(cookie, replica)
    return answer.status_code, "" if answer.status_code == 200 else answer.json()["code"]


async def outage(directory: Path, how: How, seconds: float, lifetime: int) -> Told:
    """Twenty people work on three replicas all the while; `lifetime` of their access tokens is in seconds."""
    chance, told = random.Random(how), Told()
    directory.mkdir()
    with one_server(directory / "redis") as redis:
        async with running_fleet(directory, redis.url, replicas=3, lifetime=lifetime) as fleet:
            cookies = await fleet.signed_in(PEOPLE)
            await goes_away(fleet, how)
            until = time.monotonic() + seconds
            first = await asyncio.gather(*(called(fleet, cookie, chance.randrange(3)) for cookie in cookies))
            assert set(first) == {(200, "")}, "an access token that is good is good without the provider"

            async def person(cookie: str) -> None:
                while time.monotonic() < until:
                    told[await called(fleet, cookie, chance.randrange(3))] += 1
                    await asyncio.sleep(chance.uniform(0.2, 1.5))

            await asyncio.gather(*(person(cookie) for cookie in cookies))
            assert set(told) == {(200, ""), (503, "provider_unavailable")}, told
            await comes_back(fleet, how)
            back = time.monotonic() + BACK_TIMEOUT
            for cookie in cookies:
                while (answer := await called(fleet, cookie, chance.randrange(3))) != (200, ""):
                    assert answer == (503, "provider_unavailable")
                    assert time.monotonic() < back, "it goes on being told to come back"
                    await asyncio.sleep(0.5)
            state = await fleet.okta.state()
            assert [family["revoked"] for family in state["families"]] == [None] * PEOPLE
            assert state["reuse_alarms"] == 0
    return told


@pytest.mark.case("RF-033")
async def test_some_seconds_of_a_wrong_secret_end_no_session(tmp_path: Path) -> None:
    # The lifetime leaves a busy machine the time to sign twenty people in and to ask for each of them once.
    await outage(tmp_path / "okta", "invalid_client", seconds=23, lifetime=20)


@pytest.mark.long
async def test_ten_minutes_of_each_way_to_be_away_end_no_session(tmp_path: Path) -> None:
    every = await asyncio.gather(*(outage(tmp_path / how, how, seconds=600, lifetime=60) for how in EVERY))
    for how, told in zip(EVERY, every, strict=True):
        print(f"{how} for ten minutes: {dict(told)}")
