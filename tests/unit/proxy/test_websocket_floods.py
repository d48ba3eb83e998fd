# ruff: noqa: SIM117 - a world inside a world reads better as two lines
"""WebSocket peers that send what costs memory and read nothing: pings, fragments, messages over the route's limit."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection

from bff.server.uvicorn_0_54.websocket_protocol import WebSocketProtocol
from tests.harness.upstream_wire import PATIENCE, bff_beside
from tests.unit.proxy.test_websocket import browser, closing_of, socket_upstream, to

MIB = 1 << 20
MASK = b"\x00\x00\x00\x00"
PAYLOAD = b"p" * 125
POURED = 32 * MIB  # far more than the sockets in between hold
KEPT_AT_MOST = 2 * MIB


def unsent_by(kind: type, *, but: Any = None) -> int:
    """Bytes that wait to be sent on the open connections of this kind."""
    # By `type`: isinstance would ask a weak proxy for what it stands for, which may be gone.
    connections: list[Any] = [it for it in gc.get_objects() if issubclass(type(it), kind) and it is not but]
    unsent = [it.transport.get_write_buffer_size() for it in connections if not it.transport.is_closing()]
    assert unsent
    return sum(unsent)


async def pour(connection: ClientConnection | ServerConnection, ping: bytes) -> None:
    piece = ping * 500
    for _ in range(POURED // len(piece)):
        connection.transport.write(piece)
        await connection.drain()
    await asyncio.sleep(0)
    while connection.transport.get_write_buffer_size():
        await asyncio.sleep(0.01)


async def test_a_browser_that_pings_and_does_not_read_fills_no_memory() -> None:
    async with socket_upstream() as url, bff_beside(to(url)) as port:
        async with browser(port, ping_interval=None) as page:
            page.transport.pause_reading()
            async with asyncio.timeout(PATIENCE):
                await pour(page, b"\x89\xfd" + MASK + PAYLOAD)
            assert unsent_by(WebSocketProtocol) < KEPT_AT_MOST
            # Whoever reads again is answered: the last ping, and what was said after it.
            pong = await page.ping(b"last")
            page.transport.resume_reading()
            await asyncio.wait_for(pong, PATIENCE)
            await page.send("still here")
            assert await asyncio.wait_for(page.recv(), PATIENCE) == "still here"


async def test_an_upstream_that_pings_and_does_not_read_fills_no_memory() -> None:
    poured, checked = asyncio.Event(), asyncio.Event()

    async def flood(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await pour(connection, b"\x89\x7d" + PAYLOAD)
        poured.set()
        await checked.wait()
        pong = await connection.ping(b"last")
        connection.transport.resume_reading()
        await pong
        await connection.send("still here")
        await connection.wait_closed()

    async with socket_upstream(flood, ping_interval=None) as url, bff_beside(to(url)) as port:
        async with browser(port, ping_interval=None) as page:
            await asyncio.wait_for(poured.wait(), PATIENCE)
            try:
                kept = unsent_by(ClientConnection, but=page)
            finally:
                checked.set()
            assert kept < KEPT_AT_MOST
            assert await asyncio.wait_for(page.recv(), PATIENCE) == "still here"


def frame(first: int, payload: bytes, *, announced: int | None = None) -> bytes:
    """A masked frame; `announced` is its length where that is not the payload's."""
    return bytes([first, 0xFF]) + (announced or len(payload)).to_bytes(8, "big") + MASK + payload


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda page: page.transport.write(frame(0x82, b"x" * 1000, announced=8 * MIB)), id="announced"),
        pytest.param(
            lambda page: page.transport.write(frame(0x02, b"x" * 900) + frame(0x00, b"x" * 900)), id="two-fragments"
        ),
        pytest.param(lambda page: page.transport.write(b"\x01\x80" + MASK + (b"\x00\x80" + MASK) * 9000), id="empty"),
    ],
)
async def test_a_message_is_refused_as_soon_as_it_is_too_large(send: Callable[[ClientConnection], None]) -> None:
    """The rest of it is never sent."""
    heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def listen(connection: ServerConnection) -> None:
        heard.put_nowait(await closing_of(connection))

    async with socket_upstream(listen) as url, bff_beside(to(url, message_limit=1024)) as port:
        async with browser(port) as page:
            send(page)
            assert await closing_of(page) == (1009, "message too big")
            assert (await asyncio.wait_for(heard.get(), PATIENCE))[0] == 1009


async def test_a_browser_that_goes_on_sending_a_message_that_was_refused_reads_the_close_frame() -> None:
    async with socket_upstream() as url, bff_beside(to(url, message_limit=1024)) as port:
        async with browser(port) as page:
            page.transport.write(frame(0x82, b"x" * (4 * MIB)))
            assert await closing_of(page) == (1009, "message too big")
