"""The loop itself: time, order, stopped and killed processes, and the two ways in which nothing happens any more."""

import asyncio
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from tests.proof.simulation.loop import OUTSIDE, PROCESS, Deadlock, HotLoop, Process, SimulatedLoop


@pytest.fixture
def loop() -> Iterator[SimulatedLoop]:
    loop = SimulatedLoop()
    yield loop
    loop.bury()


def started(loop: SimulatedLoop, process: Process, ticks: list[float], *, every: float) -> None:
    async def tick() -> None:
        try:
            while True:
                await asyncio.sleep(every)
                ticks.append(loop.time())
        finally:
            ticks.append(-1.0)

    context = OUTSIDE.run(copy_context)
    context.run(PROCESS.set, process)
    loop.create_task(tick(), context=context)


def test_a_year_passes_at_once(loop: SimulatedLoop) -> None:
    loop.run_until_complete(asyncio.sleep(365 * 86_400))
    assert loop.time() == 365 * 86_400


def test_a_timeout_fires_at_its_time_and_not_later(loop: SimulatedLoop) -> None:
    async def story() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(9)
        return loop.time()

    assert loop.run_until_complete(story()) == 5


def test_a_stopped_process_does_nothing_until_it_goes_on(loop: SimulatedLoop) -> None:
    ticks: list[float] = []
    process = Process("r0")
    started(loop, process, ticks, every=1.0)

    async def story() -> None:
        await asyncio.sleep(2.5)
        process.stop(loop.time())
        await asyncio.sleep(10)
        assert ticks == [1.0, 2.0]
        process.resume(loop)
        await asyncio.sleep(1.2)

    loop.run_until_complete(story())
    assert ticks == [1.0, 2.0, 12.5, 13.5]
    assert process.stopped_for == 10


def test_a_killed_process_runs_not_even_its_finally(loop: SimulatedLoop) -> None:
    ticks: list[float] = []
    process = Process("r0")
    started(loop, process, ticks, every=1.0)

    async def story() -> None:
        await asyncio.sleep(2.5)
        process.kill(loop.time())
        await asyncio.sleep(10)
        process.resume(loop)
        await asyncio.sleep(10)

    loop.run_until_complete(story())
    assert ticks == [1.0, 2.0]


def test_waiting_for_nothing_is_a_deadlock(loop: SimulatedLoop) -> None:
    with pytest.raises(Deadlock):
        loop.run_until_complete(loop.create_future())


def test_spinning_without_waiting_is_a_hot_loop(loop: SimulatedLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(HotLoop):
        loop.run_until_complete(spin())
