"""The listening socket that the simulated provider and the sample API share."""

import asyncio
import socket

import pytest
from starlette.responses import PlainTextResponse

from demo.simulator.listener import Listener
from tests.harness.waiting import until


@pytest.mark.parametrize("returned", [False, True])
async def test_a_response_is_sent_without_waiting_for_an_acknowledgement(returned: bool) -> None:
    """With Nagle's algorithm a response in two segments waits for the client's delayed ACK, about 40 ms."""
    writer: asyncio.StreamWriter | None = None
    listener = Listener(PlainTextResponse("hello"), host="127.0.0.1")
    await listener.start()
    try:
        if returned:
            await listener.refuse()
            await listener.accept()
        _, writer = await asyncio.open_connection(listener.host, listener.port)
        await until(lambda: bool(listener.transports))
        (transport,) = listener.transports
        accepted = transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    finally:
        if writer:
            writer.close()
        await listener.close()
