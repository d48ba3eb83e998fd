"""Many callers of one instant at three replicas on one Redis: one token exchange for all of them."""

import asyncio
from pathlib import Path

import pytest

from tests.harness.redis_servers import one_server
from tests.proof.races.world import running_world

TOKEN = {"exchange": {"audience": "orders"}}


@pytest.mark.parametrize("callers", [150, pytest.param(1500, marks=pytest.mark.long)])
async def test_a_cold_audience_costs_one_exchange(tmp_path: Path, callers: int) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with running_world(redis.url, 3, slow=0.5, replicas=3, token=TOKEN) as world:
            jar = await world.signed_in(world.person(), "sid-1")
            answers = await asyncio.gather(*(world.call(jar, world.apps[number % 3]) for number in range(callers)))
            assert {answer.status for answer in answers} == {200}, answers[0].body
            assert world.provider.exchanges == ["orders"]
            assert {request.headers["authorization"] for request in world.upstream.heard} == {"Bearer for-orders-1"}
            assert len(world.upstream.heard) == callers
            await world.settled()
