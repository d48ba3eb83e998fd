"""What waits is woken, once, in all orders of waiting, setting and cancelling."""

import asyncio

import pytest

from bff.server.uvicorn_0_54.waiting import SmallEvent, SmallQueue
from tests.harness.waiting import loop_turns


async def test_an_event_wakes_all_that_wait_and_stays_set() -> None:
    event = SmallEvent()
    waiting = [asyncio.create_task(event.wait()) for _ in range(3)]
    await loop_turns(2)
    assert not any(task.done() for task in waiting)
    waiting[1].cancel()
    await loop_turns(2)
    event.set()
    event.clear()  # those that waited are woken all the same
    await loop_turns(2)
    assert [task.done() for task in waiting] == [True] * 3
    assert (waiting[1].cancelled(), event.is_set()) == (True, False)
    event.set()
    assert await event.wait()
    assert event.is_set()


async def test_a_waiter_that_is_cancelled_as_the_event_is_set_harms_no_other() -> None:
    event = SmallEvent()
    first, second = asyncio.create_task(event.wait()), asyncio.create_task(event.wait())
    await loop_turns(2)
    event.set()
    first.cancel()
    assert await second
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_queue_gives_each_message_once_in_its_order() -> None:
    queue: SmallQueue[int] = SmallQueue()
    assert queue.empty()
    waiting = [asyncio.create_task(queue.get()) for _ in range(2)]
    await loop_turns(2)
    for number in range(5):
        queue.put_nowait(number)
    assert sorted(await asyncio.gather(*waiting)) == [0, 1]
    assert [await queue.get() for _ in range(3)] == [2, 3, 4]
    assert queue.empty()


async def test_a_cancelled_reader_loses_no_message() -> None:
    queue: SmallQueue[int] = SmallQueue()
    reader = asyncio.create_task(queue.get())
    await loop_turns(2)
    queue.put_nowait(1)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await queue.get() == 1
