"""Which waits for a client have a limit, and which not: the clock stands still until the test advances it."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.server import KEEP_ALIVE, uvicorn_config
from bff.server.uvicorn_0_54.timeouts import Timeouts
from tests.harness.client_connection import ManualTimers, Wire

HEAD = Timeouts().head
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
HANDSHAKE = (
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Connected:
    """The shipped protocol in front of an application that responds when `respond` is set."""

    def __init__(self) -> None:
        self.respond = asyncio.Event()
        self.bodies: list[bytes] = []
        self.accepted = asyncio.Event()
        self.wire, self.timers = Wire(), ManualTimers()
        config = uvicorn_config(self, lifespan="off")
        config.load()
        self.protocol = HttpProtocol(config, ServerState(), app_state={}, _loop=self.timers)
        self.protocol.connection_made(self.wire)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            self.accepted.set()
            await receive()
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await self.respond.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    def receives(self, data: bytes) -> None:
        self.wire.protocol.data_received(data)

    def responses(self) -> int:
        return self.wire.written.count(b"HTTP/1.1 200 ")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
async def connected() -> Connected:
    connected = Connected()
    connected.wire.set_protocol(connected.protocol)
    return connected


async def one_response(connected: Connected) -> None:
    connected.respond.set()
    connected.receives(GET)
    await until(lambda: connected.responses() == 1)


def test_a_head_may_take_twenty_seconds_by_default() -> None:
    assert HEAD == 20


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /x HT", GET[:-2]])
async def test_a_head_has_a_time_limit_however_much_of_it_came(connected: Connected, begun: bytes) -> None:
    connected.timers.advance(HEAD - 1)
    if begun:
        connected.receives(begun)
    assert not connected.wire.closed
    connected.timers.advance(2)
    assert connected.wire.closed


async def test_bytes_do_not_extend_the_time_limit_of_a_head(connected: Connected) -> None:
    for byte in GET[:10]:
        connected.receives(bytes([byte]))
        connected.timers.advance(HEAD / 10)
    assert connected.wire.closed


@pytest.mark.parametrize("begun", [b"\r\n", b"GET /y HT"])
async def test_the_next_head_has_the_same_limit(connected: Connected, begun: bytes) -> None:
    await one_response(connected)
    connected.timers.advance(HEAD + 1)
    assert not connected.wire.closed, "an idle connection has another limit"
    connected.receives(begun)
    connected.timers.advance(HEAD - 1)
    assert not connected.wire.closed
    connected.timers.advance(2)
    assert connected.wire.closed


async def test_an_idle_connection_is_kept_for_the_keep_alive_time(connected: Connected) -> None:
    await one_response(connected)
    connected.timers.advance(KEEP_ALIVE - 1)
    connected.receives(GET)
    await until(lambda: connected.responses() == 2)
    connected.timers.advance(KEEP_ALIVE - 1)
    assert not connected.wire.closed
    connected.timers.advance(2)
    assert connected.wire.closed


async def test_a_slow_body_and_a_slow_response_have_no_limit_here(connected: Connected) -> None:
    connected.receives(POST)
    for byte in b"abc":
        connected.timers.advance(10 * HEAD)
        connected.receives(bytes([byte]))
    await until(lambda: connected.bodies == [b"abc"])
    connected.timers.advance(10 * HEAD)
    connected.respond.set()
    await until(lambda: connected.responses() == 1)
    assert not connected.wire.closed


async def test_a_websocket_has_no_limit_for_a_head(connected: Connected) -> None:
    connected.receives(HANDSHAKE)
    await asyncio.wait_for(connected.accepted.wait(), 60)
    assert connected.wire.protocol is not connected.protocol
    connected.timers.advance(10 * HEAD)
    assert not connected.wire.closed
    connected.wire.protocol.connection_lost(None)
