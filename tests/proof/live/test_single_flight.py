"""Many callers, two processes, one token request."""

import asyncio

from tests.proof.live.fleet import ON_TWO_REPLICAS, Fleet

pytestmark = ON_TWO_REPLICAS


async def test_five_hundred_callers_of_one_instant_cost_one_token_request(two_replicas: Fleet) -> None:
    fleet = two_replicas
    (cookie,) = await fleet.expired_sessions()
    before, renewed = await fleet.okta.state(), await fleet.metric("bff_refresh_total", outcome="renewed")
    fleet.upstream.heard.clear()
    answers = await asyncio.gather(*(fleet.call(cookie, number % 2) for number in range(500)))
    assert {answer.status_code for answer in answers} == {200}
    after = await fleet.okta.state()
    assert after["refresh_requests"] == before["refresh_requests"] + 1
    assert after["reuse_alarms"] == before["reuse_alarms"]
    assert len(set(fleet.upstream.tokens)) == 1
    assert await fleet.metric("bff_refresh_total", outcome="renewed") == renewed + 1
