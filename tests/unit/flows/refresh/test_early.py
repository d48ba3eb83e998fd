"""Active sessions are renewed when they are due, inactive ones are left alone."""

import asyncio

from bff.flows.refresh.early import ACTIVE_WINDOW, EarlyRefresh
from bff.session.session import SessionKey
from tests.harness.virtual_time import time_passes

ONE, TWO = SessionKey("one"), SessionKey("two")


class Early:
    def __init__(self) -> None:
        self.loop, self.renewed = asyncio.get_running_loop(), list[tuple[str, float]]()
        self.early = EarlyRefresh(lambda key: self.renewed.append((key, round(self.loop.time(), 3))), self.loop.time)
        self.task = asyncio.create_task(self.early.run())


async def test_each_is_renewed_when_it_is_due_the_sooner_one_first() -> None:
    running = Early()
    running.early.active(ONE, 200.0)
    await time_passes(1)
    running.early.active(TWO, 100.0)
    running.early.active(TWO, 5.0)  # known already
    await time_passes(250)
    assert running.renewed == [(TWO, 101.0), (ONE, 200.0)]
    running.task.cancel()


async def test_a_session_without_a_request_for_a_while_is_left_alone() -> None:
    running = Early()
    running.early.active(ONE, ACTIVE_WINDOW + 1)
    await time_passes(2 * ACTIVE_WINDOW)
    running.early.renewed(ONE, 10.0)
    await time_passes(20)
    assert running.renewed == []
    running.task.cancel()


async def test_tokens_that_are_due_at_once_make_no_busy_loop() -> None:
    running = Early()
    running.early.active(ONE, -50.0)
    await time_passes(1.5)
    for _ in range(3):
        running.early.renewed(ONE, 0.0)
        await time_passes(1.25)
    assert [at for _, at in running.renewed] == [1.0, 2.5, 3.75, 5.0]
    running.task.cancel()
