"""The provider is away, in four ways, and comes back: not one session is lost. `make proof` has ten minutes of each."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.world import CLIENT_SECRET
from tests.proof.live.fleet import Fleet, running_fleet

How = Literal["refuse", "stall", "error", "invalid_client"]
EVERY: tuple[How, ...] = ("refuse", "stall", "error", "invalid_client")
BACK_TIMEOUT = 90.0  # seconds: three times the longest back-off
UNAVAILABLE = (503, "provider_unavailable")


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


async def outage(directory: Path, how: How, seconds: float) -> Counter[tuple[int, str]]:
    """Calls three replicas for ten sessions, of which half have to be renewed; how often each answer came."""
    chance, answers = random.Random(how), Counter[tuple[int, str]]()
    directory.mkdir()
    with one_server(directory / "redis") as redis:
        async with running_fleet(directory, redis.url, lifetime=3600) as fleet:
            usable = await fleet.signed_in(5)
            due = await fleet.expired_sessions(5)
            await goes_away(fleet, how)
            ends_at = time.monotonic() + seconds
            while not answers or time.monotonic() < ends_at:
                for replica in range(3):
                    during = await asyncio.gather(*(called(fleet, cookie, replica) for cookie in (*usable, *due)))
                    answers.update(during)
                    assert during == [(200, "")] * len(usable) + [UNAVAILABLE] * len(due)
                    await asyncio.sleep(0.2 if seconds else 0)
            await comes_back(fleet, how)
            for cookie in due:

                async def served(cookie: str = cookie) -> bool:
                    answer = await called(fleet, cookie, chance.randrange(3))
                    assert answer in ((200, ""), UNAVAILABLE)
                    return answer == (200, "")

                await until(served, within=BACK_TIMEOUT)
            state = await fleet.okta.state()
            assert sum(family["revoked"] is None for family in state["families"]) == len([*usable, *due])
            assert state["reuse_alarms"] == 0
    return answers


@pytest.mark.long
async def test_ten_minutes_of_each_way_to_be_away_end_no_session(tmp_path: Path) -> None:
    results = await asyncio.gather(*(outage(tmp_path / how, how, seconds=600) for how in EVERY))
    for how, answers in zip(EVERY, results, strict=True):
        print(f"{how} for ten minutes: {dict(answers)}")
