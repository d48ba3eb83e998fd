"""A sign-out and a refresh at the same instant, in both orders: the session stays dead, and so do its tokens."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.harness.redis_servers import RedisServer
from tests.proof.live.fleet import Fleet, running_fleet

# Seconds between a reservation and its request, so that a busy machine puts off no refresh: nobody waits for a lease.
TIMINGS = {"refresh_timeout": "10", "refresh_lease": "20"}
PEOPLE_AT_ONCE = 30
LOGINS = ("alice@example.com", "bob@example.com", "zoë@example.com")  # each may be renewed four times a second


async def race(fleet: Fleet, rounds: int, chance: random.Random) -> int:
    """Signs people in, lets their tokens expire, and calls and signs out at once; how many races there were."""
    races = 0
    # The provider's answer takes as long as calls and sign-outs are apart: about half of the refreshes are overtaken.
    await fleet.okta.post("/faults", kind="slow_answer", grant="refresh_token", delay=0.06, times=1_000_000)
    replicas = len(fleet.replicas)
    while races < rounds:
        await fleet.okta.post("/settings", access_token_lifetime=2)
        cookies: list[str] = []
        for login in LOGINS:
            cookies += await fleet.signed_in(min(PEOPLE_AT_ONCE // len(LOGINS), rounds - races - len(cookies)), login)
        # What is renewed lives for an hour: on a busy machine it would run out before it is used, and again.
        await fleet.okta.post("/settings", access_token_lifetime=3600)
        await asyncio.sleep(2.0)

        async def one(cookie: str) -> None:
            async def call() -> int:
                await asyncio.sleep(chance.uniform(0, 0.06))
                return (await fleet.call(cookie, chance.randrange(replicas))).status_code

            async def end() -> int:
                await asyncio.sleep(chance.uniform(0, 0.06))
                return (await fleet.sign_out(cookie, chance.randrange(replicas))).status_code

            called, ended = await asyncio.gather(call(), end())
            assert called in (200, 401)
            assert ended == 200
            for replica in range(replicas):
                assert (await fleet.call(cookie, replica)).status_code == 401

        async with asyncio.TaskGroup() as races_of_this_round:
            for cookie in cookies:
                races_of_this_round.create_task(one(cookie))
        races += len(cookies)
    return races


async def nothing_lives_at_okta(fleet: Fleet) -> None:
    """Every family ends revoked: by the sign-out, or by the refresh that found its session gone."""
    async with asyncio.timeout(60):
        while any(family["revoked"] is None for family in (await fleet.okta.state())["families"]):
            await asyncio.sleep(0.1)
    assert (await fleet.okta.state())["reuse_alarms"] == 0


ROUNDS = [90, pytest.param(3000, marks=pytest.mark.long)]


@pytest.mark.case("RF-048", "RF-049", "RF-050")
@pytest.mark.parametrize("rounds", ROUNDS)
async def test_sign_out_against_refresh_on_redis(tmp_path: Path, redis_server: RedisServer, rounds: int) -> None:
    async with running_fleet(tmp_path, redis_server.url, lifetime=2, patient=True, **TIMINGS) as fleet:
        races = await race(fleet, rounds, random.Random(rounds))
        await nothing_lives_at_okta(fleet)
        late = await fleet.metric("bff_refresh_total", outcome="revoked_orphan")
        print(f"races on Redis: {races}; refreshes that found their session gone: {late:.0f}")
        assert late > 0, "no refresh was ever overtaken: the race was not run"


@pytest.mark.case("RF-048")
@pytest.mark.parametrize("rounds", ROUNDS)
async def test_sign_out_against_refresh_on_sqlite(tmp_path: Path, rounds: int) -> None:
    store = f"sqlite:///{tmp_path / 'bff.db'}"
    async with running_fleet(tmp_path, store, replicas=1, lifetime=2, patient=True, **TIMINGS) as fleet:
        races = await race(fleet, rounds, random.Random(rounds))
        await nothing_lives_at_okta(fleet)
        late = await fleet.metric("bff_refresh_total", outcome="revoked_orphan")
        print(f"races on SQLite: {races}; refreshes that found their session gone: {late:.0f}")
        assert late > 0, "no refresh was ever overtaken: the race was not run"
