"""Single flight while the store loses reservations: each failover hides one request in flight, and no more."""

import asyncio
import copy

import pytest

from bff.session.session import Session
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts


async def call(replica: Parts, session: Session) -> str:
    return (await replica.refresh.session_with_fresh_token(session.key)).tokens.access_token


@pytest.mark.parametrize("failovers", [0, 1, 2])
async def test_each_failover_that_loses_a_reservation_hides_one_request(parts: Parts, failovers: int) -> None:
    replicas = [parts, Parts(beside=parts), Parts(beside=parts)]
    session = await parts.expired()
    before = copy.deepcopy(parts.data.sessions[session.key])
    parts.provider.delay = 5.0
    callers = []
    for number, replica in enumerate(replicas):
        callers.append(asyncio.create_task(call(replica, session)))
        await time_passes(1.3)
        if number < failovers:  # the reservation is in flight, and the store loses it
            parts.data.sessions[session.key] = copy.deepcopy(before)
    tokens = await asyncio.gather(*callers)
    assert parts.provider.most_running == 1 + failovers
    assert set(parts.provider.refreshed) == {session.tokens.refresh_token}
    stored = await parts.stored(session)
    assert stored is not None
    assert stored.tokens.access_token in tokens
    await parts.settled()
    assert parts.provider.revoked == [], "every answer may be the provider's latest successor"
