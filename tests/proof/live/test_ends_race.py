"""A sign-out and a refresh at the same instant, in both orders: the session stays dead, and so do its tokens."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.harness.redis_servers import RedisServer
from tests.proof.live.fleet import Fleet, running_fleet

# Seconds between a reservation and its request, so that a busy machine puts off no refresh.
TIMINGS = {"refresh_timeout": "10", "refresh_lease": "20"}
LOGINS = ("alice@example.com", "bob@example.com", "zoë@example.com")  # each may be renewed four times a second
APART = 0.06  # seconds between the two at most, and what the provider takes: about half of the refreshes come too late


async def race(fleet: Fleet, rounds: int, chance: random.Random) -> int:
    """Calls and signs out at once, by thirty sessions at a time; how many refreshes found their session gone."""
    await fleet.okta.post("/faults", kind="slow_answer", grant="refresh_token", delay=APART, times=1_000_000)
    replicas = range(len(fleet.replicas))

    async def call(cookie: str) -> int:
        await asyncio.sleep(chance.uniform(0, APART))
        return (await fleet.call(cookie, chance.choice(replicas))).status_code

    async def end(cookie: str) -> int:
        await asyncio.sleep(chance.uniform(0, APART))
        return (await fleet.sign_out(cookie, chance.choice(replicas))).status_code

    async def one_race(cookie: str) -> None:
        called, ended = await asyncio.gather(call(cookie), end(cookie))
        assert called in (200, 401)
        assert ended == 200
        for replica in replicas:
            assert (await fleet.call(cookie, replica)).status_code == 401

    races, late = 0, 0.0
    while races < rounds or not late:
        cookies = [cookie for login in LOGINS for cookie in await fleet.expired_sessions(10, login)]
        await asyncio.gather(*map(one_race, cookies))
        races += len(cookies)
        await fleet.nothing_lives_at_okta()
        late = await fleet.metric("bff_refresh_total", outcome="revoked_orphan")
    assert (await fleet.okta.state())["reuse_alarms"] == 0
    print(f"{races} races; refreshes that found their session gone: {late:.0f}")
    return int(late)


ROUNDS = [30, pytest.param(3000, marks=pytest.mark.long)]


@pytest.mark.case("RF-048", "RF-049", "RF-050")
@pytest.mark.parametrize("rounds", ROUNDS)
# In `make test` the store contract and the races of tests/proof/races have SQLite too.
@pytest.mark.parametrize(
    "replicas", [pytest.param(1, marks=pytest.mark.long, id="SQLite"), pytest.param(3, id="Redis")]
)
async def test_sign_out_against_refresh(tmp_path: Path, redis_server: RedisServer, replicas: int, rounds: int) -> None:
    store = f"sqlite:///{tmp_path / 'bff.db'}" if replicas == 1 else redis_server.url
    async with running_fleet(tmp_path, store, replicas=replicas, **TIMINGS) as fleet:
        assert await race(fleet, rounds, random.Random(rounds)) > 0
