"""One refresh task per session, which repeats what was lost and stops when there is an outcome."""

import asyncio

from bff.flows.logout.session_ends import EndWatch
from bff.flows.refresh.single_flight import SingleFlight
from bff.oidc.token import NoAnswer, Postponed
from bff.session.session import Session
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts


class Flight:
    def __init__(self, parts: Parts) -> None:
        self.renewed: list[Session] = []
        watch = EndWatch(parts.store, parts.tasks, parts.end_session.ends)
        self.flight = SingleFlight(parts.attempts, parts.tasks, watch, parts.timing, self.renewed.append)


async def test_a_store_that_fails_inside_the_grace_period_is_tried_again(parts: Parts) -> None:
    flight, session = Flight(parts), await parts.expired()
    parts.provider.answers = [NoAnswer(may_have_been_sent=True)]
    task = flight.flight.join_or_start(session.key)
    while not parts.provider.refreshed:
        await asyncio.wait([task], timeout=0.001)
    await time_passes(0.001)
    parts.data.down = True
    await time_passes(3)
    parts.data.down = False
    await task
    assert len(flight.renewed) == 1


async def test_a_lost_answer_is_asked_for_again_without_a_request(parts: Parts) -> None:
    flight, session = Flight(parts), await parts.expired()
    parts.provider.answers = [NoAnswer(may_have_been_sent=True)] * 2
    await flight.flight.join_or_start(session.key)
    assert parts.provider.refreshed == [session.tokens.refresh_token] * 3
    assert len(flight.renewed) == 1


async def test_a_postponed_refresh_is_left_to_the_next_request(parts: Parts) -> None:
    flight, session = Flight(parts), await parts.expired()
    parts.provider.answers = [Postponed(5.0)]
    await flight.flight.join_or_start(session.key)
    assert flight.renewed == []
    assert len(parts.provider.refreshed) == 1
