"""Handshakes that are refused, frames that come too early, and how a WebSocket closes."""

import asyncio
import gc
from typing import Any
from weakref import ref

import pytest
from starlette.types import Receive, Scope, Send
from websockets.frames import Frame, Opcode

from bff.asgi.extensions import close_connection, limit_messages
from bff.proxy.websocket_close import CLOSE_TIMEOUT
from bff.server.uvicorn_0_54.websocket_protocol import WebSocketProtocol
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import RequestGuard
from tests.harness.client_connection import TURNS, Connection, Recorder, Wire
from tests.harness.loop_clock import advance_loop_clock
from tests.harness.waiting import loop_turns

HANDSHAKE = (
    b"GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
NEXT = b"GET /api/next HTTP/1.1\r\nHost: a\r\n\r\n"


def text(message: bytes) -> bytes:
    return Frame(Opcode.TEXT, message).serialize(mask=True, extensions=[])


def frames(connection: Connection) -> bytes:
    """What the client got behind the response to its handshake."""
    head, _, rest = connection.wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    return rest


class Held:
    """An application that accepts when `go_on` is set, and then does `act` with its scope."""

    def __init__(self, act: Any = None) -> None:
        self.go_on, self._act, self.received = asyncio.Event(), act, list[Any]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await self.go_on.wait()
        if self._act is not None:
            self._act(scope)
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.received.append(message["text"])
        self.received.append(message["code"])


@pytest.mark.parametrize(("early", "aborted"), [(b"early", False), (b"x" * 65537, True)], ids=["few", "many"])
async def test_frames_before_the_response_wait_for_it_up_to_a_bound(early: bytes, aborted: bool) -> None:
    held = Held()
    connection = Connection(held)
    await connection.receives(HANDSHAKE + text(early))
    assert (connection.wire.written, connection.wire.aborted) == (b"", aborted)
    if not aborted:
        held.go_on.set()
        await loop_turns(TURNS)
        assert held.received == ["early"]
        await connection.hang_up()


@pytest.mark.parametrize(
    "handshake",
    [
        HANDSHAKE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        HANDSHAKE.replace(b"Version: 13", b"Version: 0"),
        HANDSHAKE.replace(b"Host: a", b"Host: a\r\nX-Long: " + b"a" * 9000),
        HANDSHAKE.replace(b"/api/x", b"/api/.."),
    ],
)
async def test_a_refused_handshake_is_answered_and_the_rest_ignored(handshake: bytes) -> None:
    recorder = Recorder()
    connection = Connection(RequestGuard(recorder, ErrorResponder()))
    await connection.receives(handshake, NEXT)
    assert connection.wire.written.startswith(b"HTTP/1.1 4")
    assert connection.wire.written.count(b"HTTP/1.1 ") == 1
    assert (recorder.requests, recorder.scopes) == ([], [])


async def test_a_rejected_frame_is_answered_with_a_close_frame_that_can_be_read() -> None:
    held = Held()
    held.go_on.set()
    connection = Connection(held, wire=Wire(half_closes=True))
    await connection.receives(HANDSHAKE, b"\x81\x05plain")  # a client must mask
    assert frames(connection)[:4] == b"\x88" + frames(connection)[1:2] + b"\x03\xea"  # 1002
    assert (connection.wire.ended, connection.wire.closed, held.received) == (True, False, [1002])
    await connection.receives(bytes(16 * 1024 * 1024))
    assert not connection.wire.closed
    await connection.receives(b"x")
    assert connection.wire.aborted
    await connection.hang_up()


async def test_a_route_limits_the_size_of_a_message() -> None:
    held = Held(lambda scope: limit_messages(scope, 4))
    held.go_on.set()
    connection = Connection(held)
    await connection.receives(HANDSHAKE, text(b"four"), text(b"fives"))
    assert held.received == ["four", 1009]
    await connection.hang_up()


@pytest.mark.parametrize("at_once", [True, False])
async def test_an_application_can_close_without_a_response(at_once: bool) -> None:
    held = Held(lambda scope: close_connection(scope, at_once=at_once))
    connection = Connection(held)
    await connection.receives(HANDSHAKE)
    held.go_on.set()
    await loop_turns(1)
    assert connection.wire.aborted is at_once
    assert connection.wire.closed


async def test_a_stopping_server_closes_with_a_reason() -> None:
    held = Held()
    held.go_on.set()
    connection = Connection(held)
    await connection.receives(HANDSHAKE)
    protocol = connection.wire.protocol
    assert isinstance(protocol, WebSocketProtocol)
    protocol.shutdown()
    await loop_turns(TURNS)
    assert frames(connection)[2:4] == b"\x03\xf4"  # 1012: the service restarts
    assert held.received == [1012]
    await connection.hang_up()


async def test_a_client_that_does_not_read_accumulates_no_pongs() -> None:
    connection = Connection(Recorder())
    await connection.receives(HANDSHAKE)
    protocol = connection.wire.protocol
    assert isinstance(protocol, WebSocketProtocol)
    protocol.pause_writing()
    ping = Frame(Opcode.PING, b"x" * 100).serialize(mask=True, extensions=[])
    for _ in range(100):
        await connection.receives(ping)
    before = len(frames(connection))
    protocol.resume_writing()
    assert before == 0
    assert len(frames(connection)) <= 102
    await connection.hang_up()


async def test_a_stopping_server_sends_nothing_behind_a_close_that_was_answered() -> None:
    connection = Connection(Recorder())
    await connection.receives(HANDSHAKE)
    protocol = connection.wire.protocol
    assert isinstance(protocol, WebSocketProtocol)
    protocol.data_received(b"\x88\x80\0\0\0\0")
    assert frames(connection) == b"\x88\0"
    protocol.shutdown()  # raised InvalidState, and the server's end with it
    assert frames(connection) == b"\x88\0"
    await connection.hang_up()


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_does_not_answer_the_close_frame_loses_its_connection(reads: bool) -> None:
    async def closes(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 4401})

    advance, connection = advance_loop_clock(frozen=True), Connection(closes)
    await connection.receives(HANDSHAKE)
    assert frames(connection) == b"\x88\x02\x11\x31"  # 4401
    connection.wire.unsent = 0 if reads else 100
    advance(CLOSE_TIMEOUT - 0.1)
    await loop_turns(TURNS)
    assert not connection.wire.closed
    advance(0.2)
    await loop_turns(TURNS)
    assert (connection.wire.closed, connection.wire.aborted) == (True, not reads)
    await connection.hang_up()


async def test_nothing_of_the_handshake_is_kept_but_what_the_application_has() -> None:
    held = Held()
    held.go_on.set()
    connection = Connection(held)
    http = ref(connection.protocol)
    del connection.protocol
    gc.disable()
    try:
        await connection.receives(HANDSHAKE)
        assert http() is None  # at once, without a garbage collection
    finally:
        gc.enable()
    protocol = connection.wire.protocol
    assert isinstance(protocol, WebSocketProtocol)
    assert len(protocol.request.headers) == 0
    assert not hasattr(protocol, "response")
    assert dict(protocol.scope["headers"])[b"host"] == b"a"
    await connection.hang_up()
