"""What is written in one turn of the event loop leaves together and in order."""

import asyncio

from bff.asgi.write_batching import WriteBatch
from tests.harness.recording_transport import RecordingTransport
from tests.harness.waiting import loop_turns


async def test_the_first_write_is_immediate_and_the_rest_follow_in_order_at_the_end_of_the_turn() -> None:
    log: list[str] = []
    batch, one, two = WriteBatch(), RecordingTransport("one", log), RecordingTransport("two", log)
    batch.write(one, b"first")
    asyncio.get_running_loop().call_soon(log.append, "the next turn")
    batch.write(two, b"second")
    batch.write(one, b"third")
    assert log == ["one first"]
    await loop_turns()
    assert log == ["one first", "two second", "one third", "the next turn"]
    batch.write(one, b"fourth")
    assert log[4:] == ["one fourth"]


async def test_a_transport_that_closed_meanwhile_gets_nothing_and_delays_no_other() -> None:
    log: list[str] = []
    batch, gone, there = WriteBatch(), RecordingTransport("gone", log), RecordingTransport("there", log)
    for transport in (there, gone, there):
        batch.write(transport, b"x")
    gone.close()
    await loop_turns()
    assert log == ["there x", "there x"]


async def test_flush_writes_at_once_and_nothing_is_written_twice() -> None:
    batch, transport = WriteBatch(), RecordingTransport("it")
    batch.write(transport, b"first")
    batch.write(transport, b"second")
    batch.flush()
    transport.write(b"third")
    batch.write(transport, b"fourth")
    assert transport.log == ["it first", "it second", "it third"]
    await loop_turns()
    assert transport.log[3:] == ["it fourth"]
