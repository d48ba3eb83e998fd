"""The channel between the supervisor and a worker."""

import asyncio
import socket
from typing import Any

import pytest

from bff.server.channel import LINE_LIMIT, QUEUE_LIMIT, Channel
from tests.harness.waiting import until


async def pair() -> tuple[Channel, Channel]:
    one, other = socket.socketpair()
    return await Channel.open(one), await Channel.open(other)


async def test_messages_arrive_in_order_until_the_other_end_is_closed() -> None:
    here, there = await pair()
    received: list[Any] = []
    for number in range(3):
        assert here.send({"number": number, "text": "a\nb"})
    await here.close()
    await there.receive(received.append)
    assert received == [{"number": number, "text": "a\nb"} for number in range(3)]
    await there.close()


async def test_messages_that_nobody_reads_are_dropped_and_do_not_fill_the_memory() -> None:
    here, there = await pair()
    big = {"text": "x" * (LINE_LIMIT // 4)}
    sent = 0
    while here.send(big):
        sent += 1
        assert sent < 100
    assert sent * len(big["text"]) > QUEUE_LIMIT / 2
    received: list[Any] = []
    reading = asyncio.create_task(there.receive(received.append))
    await until(lambda: len(received) == sent)
    assert here.send({"more": True})
    await until(lambda: received[-1] == {"more": True})
    await here.close()
    await reading
    await there.close()


async def test_a_message_that_would_end_the_channel_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    """The metrics of a worker with very many routes must not make it unreachable: its readiness is asked for here."""
    here, there = await pair()
    assert not here.send({"text": "x" * LINE_LIMIT})
    assert "too long" in caplog.text
    assert here.send({"ready": True})
    received: list[Any] = []
    await here.close()
    await there.receive(received.append)
    assert received == [{"ready": True}]
    await there.close()


async def test_a_message_over_the_limit_and_half_a_message_end_the_channel() -> None:
    for data in (b"x" * (LINE_LIMIT + 1) + b"\n", b'{"half": '):
        one, other = socket.socketpair()
        channel = await Channel.open(one)
        received: list[Any] = []
        reading = asyncio.create_task(channel.receive(received.append))
        await asyncio.to_thread(_send, other, data)
        await reading
        assert received == []
        await channel.close()


def _send(end: socket.socket, data: bytes) -> None:
    with end:
        try:
            end.sendall(data)
        except OSError:
            return
