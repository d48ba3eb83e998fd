"""Polls: every token is acted on before it is acknowledged, and one replica polls at a time."""

import asyncio

import pytest

from bff.errors import ProviderUnavailable, StoreUnavailable
from bff.flows.security_events.poll_delivery import MAX_PAUSE
from bff.session.session import User
from tests.harness.security_events import DISABLED, MemoryTransmitter, iss_sub
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts
from tests.unit.flows.security_events.reception import Reception


async def test_tokens_are_acknowledged_once_they_are_durable_and_wrong_ones_refused(parts: Parts) -> None:
    reception, session = Reception(parts), await parts.signed_in(user=User("alice"))
    waiting = reception.transmitter.waiting
    waiting["1"], waiting["2"] = reception.token(DISABLED), reception.token(DISABLED, aud="another")
    await reception.polls().poll()
    assert (reception.transmitter.acknowledged, reception.transmitter.refused) == (["1"], {"2": "invalid_audience"})
    assert await parts.stored(session) is None
    assert [len(poll.acknowledged) for poll in reception.transmitter.polls] == [0, 1]


async def test_what_the_store_cannot_take_is_not_acknowledged(parts: Parts) -> None:
    reception = Reception(parts)
    for number in range(3):
        reception.transmitter.waiting[str(number)] = reception.token(DISABLED, iss_sub(f"person-{number}"))
    receive = reception.receiver.receive

    async def down_after_the_first(compact: str, audiences: tuple[str, ...]) -> None:
        await receive(compact, audiences)
        parts.data.down = True

    reception.receiver.receive = down_after_the_first  # type: ignore[method-assign, assignment]
    with pytest.raises(StoreUnavailable):
        await reception.polls().poll()
    assert (reception.transmitter.acknowledged, list(reception.transmitter.waiting)) == (["0"], ["1", "2"])
    parts.data.down, reception.receiver.receive = False, receive  # type: ignore[method-assign]
    await reception.polls().poll()
    assert reception.transmitter.acknowledged == ["0", "1", "2"]


async def test_a_backlog_is_read_in_one_turn(parts: Parts) -> None:
    reception = Reception(parts)
    for number in range(250):
        reception.transmitter.waiting[str(number)] = reception.token(DISABLED, iss_sub(f"person-{number}"))
    await reception.polls(audiences=("https://app.example.com/auth/security-events",)).poll()
    assert len(reception.transmitter.acknowledged) == 250
    assert [len(poll.acknowledged) for poll in reception.transmitter.polls] == [0, 100, 100, 50]


async def test_a_transmitter_that_ignores_acknowledgements_is_not_asked_for_ever(parts: Parts) -> None:
    reception = Reception(parts)
    stubborn = {"1": reception.token(DISABLED)}
    reception.transmitter.waiting = type("Stubborn", (dict,), {"pop": lambda self, *_: None})(stubborn)
    await reception.polls().poll()
    assert len(reception.transmitter.polls) == 2


async def test_of_several_replicas_one_polls_in_each_interval(parts: Parts) -> None:
    transmitter = MemoryTransmitter()
    replicas = [parts, Parts(beside=parts), Parts(beside=parts)]
    tasks = [asyncio.create_task(Reception(replica, transmitter).polls().run()) for replica in replicas]
    await time_passes(59.5)
    assert 58 <= len(transmitter.polls) <= 60
    tasks[0].cancel()
    before = len(transmitter.polls)
    await time_passes(10)
    assert len(transmitter.polls) >= before + 9
    for task in tasks:
        task.cancel()


async def test_a_transmitter_that_is_away_is_asked_less_often_and_loses_nothing(parts: Parts) -> None:
    reception, session = Reception(parts), await parts.signed_in(user=User("alice"))
    task = asyncio.create_task(reception.polls().run())
    await time_passes(3.5)
    reception.transmitter.down = True
    before = len(reception.transmitter.polls)
    await time_passes(600)
    assert len(reception.transmitter.polls) == before
    reception.transmitter.waiting["1"] = reception.token(DISABLED)
    reception.transmitter.down = False
    await time_passes(MAX_PAUSE)
    assert reception.transmitter.acknowledged == ["1"]
    assert await parts.stored(session) is None
    parts.data.down = True
    await time_passes(60)
    parts.data.down = False
    await time_passes(MAX_PAUSE)
    assert len(reception.transmitter.polls) > before + 2
    task.cancel()


async def test_a_poll_reports_what_keeps_it_from_polling(parts: Parts) -> None:
    reception = Reception(parts)
    reception.transmitter.down = True
    with pytest.raises(ProviderUnavailable):
        await reception.polls().poll()
