"""Many callers, three processes, one token request."""

import asyncio
from pathlib import Path

from tests.harness.redis_servers import RedisServer
from tests.proof.live.fleet import running_fleet


async def test_five_hundred_callers_of_one_instant_cost_one_token_request(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with running_fleet(tmp_path, redis_server.url) as fleet:
        (cookie,) = await fleet.signed_in()
        await fleet.okta.post("/settings", access_token_lifetime=3600)  # of the next one
        await asyncio.sleep(2.0)  # the present one has expired: every caller needs the next
        answers = await asyncio.gather(*(fleet.call(cookie, number % 3) for number in range(500)))
        assert {answer.status_code for answer in answers} == {200}
        state = await fleet.okta.state()
        assert (state["refresh_requests"], state["reuse_alarms"]) == (1, 0)
        assert len(set(fleet.upstream.tokens)) == 1
        assert await fleet.metric("bff_refresh_total", outcome="renewed") == 1
