"""WebSocket peers that send what uses memory and do not read: pings, fragments, messages over the route's limit."""

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri
from websockets.utils import accept_key

from bff.proxy.upstream_socket import UpstreamFrames, UpstreamSocket
from bff.proxy.websocket_bounds import MAX_FRAGMENTS, BoundedProtocol
from tests.harness.proxy_server import running_proxy
from tests.harness.recording_transport import RecordingTransport
from tests.harness.websocket_peers import ClosesHeard, browser, closing_of, socket_upstream, to

MIB = 1 << 20
MASK = b"\x00\x00\x00\x00"


class Bounded(BoundedProtocol, ClientProtocol):
    pass


def opened() -> Bounded:
    protocol = Bounded(parse_uri("ws://api.internal"))
    protocol.state = State.OPEN
    return protocol


def test_of_pings_that_arrive_while_the_peer_does_not_read_only_the_last_is_answered() -> None:
    protocol = opened()
    protocol.writing_paused = True
    for number in range(1000):
        protocol.recv_frame(Frame(Opcode.PING, b"%d" % number))
    assert protocol.data_to_send() == []
    protocol.resume_writing()
    (pong,) = protocol.data_to_send()
    assert len(pong) == 2 + 4 + 3  # one pong: head, mask, `999`
    protocol.recv_frame(Frame(Opcode.PING, b"now"))
    assert len(protocol.data_to_send()) == 1
    protocol.resume_writing()
    assert protocol.data_to_send() == []


def test_a_message_has_a_bounded_number_of_fragments() -> None:
    protocol = opened()
    for _ in range(2):  # counted for each message
        protocol.recv_frame(Frame(Opcode.TEXT, b"", fin=False))
        for number in range(1, MAX_FRAGMENTS):
            protocol.recv_frame(Frame(Opcode.CONT, b"", fin=number == MAX_FRAGMENTS - 1))
    protocol.recv_frame(Frame(Opcode.BINARY, b"", fin=False))
    for _ in range(1, MAX_FRAGMENTS):
        protocol.recv_frame(Frame(Opcode.CONT, b"", fin=False))
    with pytest.raises(PayloadTooBig):
        protocol.recv_frame(Frame(Opcode.CONT, b"", fin=False))


def frame(first: int, payload: bytes, *, announced: int | None = None) -> bytes:
    """A masked frame; `announced` is its length where that is not the payload's."""
    return bytes([first, 0xFF]) + (announced or len(payload)).to_bytes(8, "big") + MASK + payload


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(frame(0x82, b"x" * 1000, announced=8 * MIB), id="announced"),
        pytest.param(frame(0x02, b"x" * 900) + frame(0x00, b"x" * 900), id="two-fragments"),
        pytest.param(b"\x01\x80" + MASK + (b"\x00\x80" + MASK) * 9000, id="empty-fragments"),
    ],
)
async def test_a_message_is_refused_as_soon_as_it_is_too_large(raw: bytes) -> None:
    closes = ClosesHeard()
    async with (
        socket_upstream(closes) as url,
        running_proxy(to(url, message_limit=1024)) as port,
        browser(port) as page,
    ):
        page.transport.write(raw)
        assert await closing_of(page) == (1009, "message too big")
        assert (await closes.next())[0] == 1009


async def test_pings_of_an_upstream_that_does_not_read_use_no_memory() -> None:
    frames = UpstreamFrames(parse_uri("ws://api.internal"), max_size=1024)
    connection, transport = UpstreamSocket(frames), RecordingTransport()
    connection.connection_made(transport)
    request = frames.connect()
    frames.send_request(request)
    accept = accept_key(request.headers["Sec-WebSocket-Key"]).encode()
    fields = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
    connection.data_received(b"HTTP/1.1 101 Switching Protocols\r\n" + fields + b"\r\n\r\n")
    transport.written = b""
    connection.pause_writing()
    connection.data_received((b"\x89\x7d" + b"p" * 125) * 1000 + b"\x89\x04last")
    assert transport.written == b""
    connection.resume_writing()
    assert len(transport.written) == len(b"\x8a\x84") + len(MASK) + len("last")
    connection.data_received(b"\x89\x04more")
    assert len(transport.written) == 2 * (2 + len(MASK) + 4)
    connection.connection_lost(None)
