"""Whether an upstream is still there, and what is kept of it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from websockets.uri import parse_uri
from websockets.utils import accept_key

from bff.proxy.upstream_socket import PING_INTERVAL, UpstreamFrames, UpstreamSocket
from tests.harness.recording_transport import RecordingTransport
from tests.harness.waiting import loop_turns

PING = b"\x89\x84"  # masked, of four bytes
PONG = b"\x8a\x04pong"


@pytest.fixture
async def transport() -> RecordingTransport:
    return RecordingTransport()


@pytest.fixture
async def upstream(transport: RecordingTransport) -> AsyncIterator[UpstreamSocket]:
    """Open, and with its keepalive running."""
    frames = UpstreamFrames(parse_uri("ws://api.internal"))
    socket = UpstreamSocket(frames)
    socket.connection_made(transport)
    socket.request = request = frames.connect()
    frames.send_request(request)
    accept = accept_key(request.headers["Sec-WebSocket-Key"]).encode()
    fields = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
    socket.data_received(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n\r\n")
    socket.start_keepalive()
    transport.written = b""
    yield socket
    socket.connection_lost(None)


async def pass_interval(advance_clock: Callable[[float], None]) -> None:
    advance_clock(PING_INTERVAL)
    await loop_turns(5)


async def test_an_upstream_that_answers_pings_stays_open(
    upstream: UpstreamSocket, transport: RecordingTransport, advance_clock: Callable[[float], None]
) -> None:
    for number in range(3):
        await pass_interval(advance_clock)
        assert transport.written.count(PING) == number + 1
        upstream.data_received(PONG)
    assert not transport.closing


async def test_an_upstream_that_does_not_answer_a_ping_is_lost(
    upstream: UpstreamSocket, transport: RecordingTransport, advance_clock: Callable[[float], None]
) -> None:
    await pass_interval(advance_clock)
    assert not transport.closing
    await pass_interval(advance_clock)
    assert (transport.closing, transport.written.count(PING)) == (True, 1)


async def test_a_connection_that_is_closing_gets_no_ping(
    upstream: UpstreamSocket, transport: RecordingTransport, advance_clock: Callable[[float], None]
) -> None:
    upstream.protocol.send_close(1001)
    await pass_interval(advance_clock)
    assert PING not in transport.written


async def test_of_the_handshake_nothing_is_kept_that_is_not_needed(upstream: UpstreamSocket) -> None:
    request, response = upstream.request, upstream.response
    assert request is not None
    assert response is not None
    upstream.forget_handshake()
    assert len(request.headers) == len(response.headers) == 0
    assert upstream.request is None


async def test_messages_arrive_in_their_order_whole_and_in_fragments(upstream: UpstreamSocket) -> None:
    upstream.forget_handshake()
    upstream.data_received(b"\x81\x01a\x81\x01b\x01\x01c\x80\x01d")
    assert [await upstream.recv() for _ in range(3)] == ["a", "b", "cd"]
    upstream.data_received(b"\x01\x01e")
    cancelled = asyncio.create_task(upstream.recv())
    await loop_turns(3)
    cancelled.cancel()  # the first fragment is put back
    await loop_turns(3)
    upstream.data_received(b"\x80\x01f\x82\x01g")
    assert [await upstream.recv() for _ in range(2)] == ["ef", b"g"]
