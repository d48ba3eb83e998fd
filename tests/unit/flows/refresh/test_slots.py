"""How many refreshes run at a time, and in which order the others follow."""

import asyncio
from collections.abc import Callable

import pytest

from bff.flows.refresh.slots import DECREASE_INTERVAL, START, RefreshSlots
from bff.oidc.token import Denied, NoAnswer, Postponed, TokenResult
from bff.session.session import SessionKey
from bff.telemetry.metrics import REGISTRY
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts

KEYS = [SessionKey(f"{number}") for number in range(2000)]


class Load:
    """Refreshes that take a second each."""

    def __init__(self, limit: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.slots = RefreshSlots(limit, self.loop.time)
        self.order: list[str] = []
        self.running, self.most = 0, 0

    async def refresh(self, key: SessionKey, outcome: Callable[[], None] | None = None) -> None:
        async with self.slots.hold(key):
            self.order.append(key)
            self.running += 1
            self.most = max(self.most, self.running)
            await time_passes(1)
            self.running -= 1
        (outcome or self.slots.answered)()
        self.slots.settled(key)

    def start(self, keys: list[SessionKey]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.refresh(key)) for key in keys]


async def test_the_number_doubles_while_refreshes_queue_up_to_the_limit() -> None:
    load = Load(limit=200)
    await asyncio.gather(*load.start(KEYS))
    assert load.most == 200
    assert load.loop.time() < 15  # with 20 at a time it takes 100 s


async def test_without_a_queue_nothing_grows() -> None:
    load = Load(limit=200)
    for _ in range(5):
        await asyncio.gather(*load.start(KEYS[:START]))
    assert load.slots.allowed == START


async def test_a_limit_below_the_start_holds() -> None:
    load = Load(limit=2)
    await asyncio.gather(*load.start(KEYS[:20]))
    assert (load.most, load.loop.time()) == (2, 10.0)


async def test_overload_halves_the_number_once_for_all_that_fail_together_and_it_recovers_slowly() -> None:
    load = Load(limit=200)
    await asyncio.gather(*load.start(KEYS))
    for _ in range(10):
        load.slots.overloaded()
    assert load.slots.allowed == 100
    await asyncio.gather(*load.start(KEYS[:400]))
    assert 102 <= load.slots.allowed <= 106
    for _ in range(10):
        await time_passes(DECREASE_INTERVAL)
        load.slots.overloaded()
    assert load.slots.allowed == START


async def test_the_number_is_a_metric() -> None:
    load = Load(limit=50)
    assert REGISTRY.get_sample_value("bff_refreshes_allowed") == START
    await asyncio.gather(*load.start(KEYS))
    assert REGISTRY.get_sample_value("bff_refreshes_allowed") == 50
    load.slots.overloaded()
    assert REGISTRY.get_sample_value("bff_refreshes_allowed") == 25


async def test_the_awaited_go_first_and_the_others_in_turn() -> None:
    load = Load(limit=1)
    calls = load.start(KEYS[:5])
    await time_passes(0)
    load.slots.awaited(KEYS[3])
    load.slots.awaited(KEYS[9])
    calls += load.start([KEYS[9]])
    await asyncio.gather(*calls)
    assert load.order == ["0", "3", "9", "1", "2", "4"]


async def test_one_that_is_cancelled_leaves_its_slot_to_the_next() -> None:
    load = Load(limit=1)
    calls = load.start(KEYS[:4])
    await time_passes(0.5)
    calls[1].cancel()
    await time_passes(0.5)
    calls[2].cancel()  # it may just have been given the slot
    await asyncio.gather(*calls, return_exceptions=True)
    assert load.order[-1] == "3"
    assert load.running <= 1
    async with asyncio.timeout(1), load.slots.hold(KEYS[5]):
        pass


async def test_a_session_in_use_is_refreshed_before_those_that_are_only_due() -> None:
    parts = Parts(concurrency=1)
    parts.provider.delay = 1.0
    due = [await parts.expired() for _ in range(5)]
    for session in due:
        parts.refresh._start_early_refresh(session.key)
    await time_passes(0.5)
    used = await parts.expired()
    await parts.refresh.session_with_fresh_token(used.key)
    assert len(parts.provider.refreshed) <= 3
    await parts.settled()


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        (NoAnswer(may_have_been_sent=False), 50),
        (Postponed(1.0, client_wide=True), 50),
        (Postponed(1.0, client_wide=False), 100),
        (Denied(400, "invalid_request", ""), 100),
    ],
)
async def test_the_answers_of_the_provider_set_the_number(parts: Parts, answer: TokenResult, allowed: int) -> None:
    session = await parts.expired()
    parts.attempts.slots = RefreshSlots(100, asyncio.get_running_loop().time)
    await asyncio.gather(*(grow(parts.attempts.slots, key) for key in KEYS))
    parts.provider.answers = [answer]
    parts.refresh._start_early_refresh(session.key)
    await time_passes(0.1)
    assert parts.attempts.slots.allowed == allowed


async def grow(slots: RefreshSlots, key: SessionKey) -> None:
    async with slots.hold(key):
        await time_passes(1)
    slots.answered()
