"""What an upstream may send for a response: framing, and bounds of everything that is not content."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import repeat

import pytest

from bff.asgi.write_batching import WriteBatch
from bff.http1.connection import ConnectionLost, Http1Connection
from bff.http1.response_parser import CHUNK_OVERHEAD_LIMIT, HEAD_LIMIT, INFORMATIONAL_LIMIT
from tests.harness.recording_transport import RecordingTransport

READ = 65536  # bytes of one read
MUCH = b"a" * READ
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\n"


async def requested(method: bytes = b"GET") -> Http1Connection:
    """A connection on which a request without a body was sent."""
    connection = Http1Connection(asyncio.get_running_loop(), WriteBatch())
    connection.connection_made(RecordingTransport())
    connection.send_head(method, b"/", [], length=-1)
    return connection


async def body_of(connection: Http1Connection) -> bytes:
    body = b""
    while piece := await connection.read():
        body += piece
    return body


def numbered(line: bytes) -> Iterator[bytes]:
    """Ever new names."""
    number = 0
    while True:
        count = READ // len(line)
        yield b"".join([line % (number + offset) for offset in range(count)])
        number += count


def feed_until_closed(connection: Http1Connection, begin: bytes, pieces: Iterator[bytes]) -> int:
    """Bytes that were taken after `begin`."""
    connection.data_received(begin)
    taken = 0
    while not connection.closed:
        piece = next(pieces)
        taken += len(piece)
        connection.data_received(piece)
        assert taken <= 64 * READ
    return taken


@pytest.mark.parametrize(
    ("begin", "pieces"),
    [
        pytest.param(OK + b"x: ", lambda: repeat(MUCH), id="one-value"),
        pytest.param(OK, lambda: repeat(MUCH), id="one-name"),
        pytest.param(OK, lambda: numbered(b"x-%09d: y\r\n"), id="headers"),
        pytest.param(b"HTTP/1.1 200 ", lambda: repeat(MUCH), id="reason"),
        pytest.param(b"", lambda: repeat(b"\r\n" * (READ // 2)), id="empty-lines"),
        pytest.param(b"", lambda: repeat(EARLY + b"link: </x>\r\n\r\n"), id="1xx"),
        pytest.param(b"", lambda: repeat(b"HTTP/1.1 100 Continue\r\nx: " + MUCH + b"\r\n\r\n"), id="large-1xx"),
        pytest.param(EARLY + b"x: ", lambda: repeat(MUCH), id="value-of-a-1xx"),
    ],
)
async def test_a_head_is_bounded(begin: bytes, pieces: Callable[[], Iterator[bytes]]) -> None:
    connection = await requested()
    assert feed_until_closed(connection, begin, pieces()) <= HEAD_LIMIT + 2 * READ
    with pytest.raises(ConnectionLost):
        await connection.head()


@pytest.mark.parametrize(
    ("begin", "pieces"),
    [
        pytest.param(b"0\r\nx: ", lambda: repeat(MUCH), id="value-of-a-trailer"),
        pytest.param(b"0\r\n", lambda: numbered(b"x-%09d: y\r\n"), id="trailers"),
        pytest.param(b"1;", lambda: repeat(MUCH), id="chunk-extension"),
        pytest.param(b"", lambda: repeat(b"1;" + MUCH + b"\r\nx\r\n"), id="chunk-extensions"),
        pytest.param(b"", lambda: repeat(b"0" * READ), id="chunk-size"),
    ],
)
async def test_the_framing_of_a_body_is_bounded(begin: bytes, pieces: Callable[[], Iterator[bytes]]) -> None:
    connection = await requested()
    assert feed_until_closed(connection, CHUNKED + begin, pieces()) <= CHUNK_OVERHEAD_LIMIT + 2 * READ
    assert (await connection.read()).startswith(b"hello")
    with pytest.raises(ConnectionLost):
        await connection.read()


async def test_trailers_are_dropped() -> None:
    connection = await requested()
    connection.data_received(CHUNKED + b"0\r\nlocation: https://evil.example/\r\nx-more: y\r\n\r\n")
    assert (await connection.head()).headers == [(b"transfer-encoding", b"chunked")]
    assert await body_of(connection) == b"hello"
    assert connection.reusable  # trailers are no reason to give a connection up


async def test_many_small_chunks_with_short_extensions_pass() -> None:
    connection, count = await requested(), 4 * CHUNK_OVERHEAD_LIMIT
    connection.data_received(CHUNKED)
    for _ in range(64):
        connection.data_received(b"1;a=b\r\nx\r\n" * (count // 64))
    connection.data_received(b"0\r\nserver-timing: db;dur=53\r\n\r\n")
    assert await body_of(connection) == b"hello" + b"x" * count


@pytest.mark.parametrize(
    ("informational", "size", "accepted"),
    [
        (INFORMATIONAL_LIMIT, HEAD_LIMIT - 2000, True),
        (INFORMATIONAL_LIMIT + 1, 0, False),
        (0, HEAD_LIMIT + 1, False),
    ],
)
async def test_large_heads_and_some_1xx_responses_pass(informational: int, size: int, accepted: bool) -> None:
    connection = await requested()
    early = (EARLY + b"link: </x>\r\n\r\n") * informational
    connection.data_received(early + OK + b"x-large: " + b"x" * size + b"\r\ncontent-length: 0\r\n\r\n")
    assert connection.closed is not accepted
    if accepted:
        assert (await connection.head()).headers[0] == (b"x-large", b"x" * size)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(EARLY + b"content-length: 5\r\n\r\nhello" + OK + b"content-length: 0\r\n\r\n", id="103-length"),
        pytest.param(b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello", id="100-length"),
        pytest.param(EARLY + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="103-chunks"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", id="PX-065-upgrade"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="101"),
        pytest.param(
            OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            id="PX-065-two-framings",
        ),
        pytest.param(OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd", id="PX-065-two-lengths"),
        pytest.param(OK + b"transfer-encoding: gzip\r\n\r\nabc", id="PX-065-unrequested-coding"),
        pytest.param(OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="PX-065-two-codings"),
        pytest.param(b"SSH-2.0-OpenSSH_9\r\n", id="PX-065-not-http"),
        pytest.param(b"HTTP/1.1 600 No\r\ncontent-length: 0\r\n\r\n", id="no-such-status"),
    ],
)
async def test_an_invalid_response_is_refused(raw: bytes) -> None:
    connection = await requested()
    connection.data_received(raw)
    assert connection.closed
    with pytest.raises(ConnectionLost) as lost:
        await connection.head()
    assert lost.value.response_begun


@pytest.mark.parametrize(
    ("raw", "complete"),
    [
        (OK + b"content-length: 5\r\n\r\nabc", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", True),
        (OK + b"\r\nabc", True),
    ],
)
@pytest.mark.case("PX-065")
async def test_only_a_body_without_a_length_may_end_with_the_connection(raw: bytes, complete: bool) -> None:
    connection = await requested()
    connection.data_received(raw)
    connection.connection_lost(None)
    assert (await connection.head()).status == 200
    assert await connection.read() == b"abc"
    if complete:
        assert await connection.read() == b""
    else:
        with pytest.raises(ConnectionLost):
            await connection.read()
    assert not connection.reusable


async def test_a_body_without_a_length_is_incomplete_if_the_connection_was_reset() -> None:
    connection = await requested()
    connection.data_received(b"HTTP/1.0 200 OK\r\n\r\nabc")
    connection.connection_lost(ConnectionResetError())
    assert await connection.read() == b"abc"
    with pytest.raises(ConnectionLost):
        await connection.read()


@pytest.mark.parametrize(
    ("method", "raw", "reusable"),
    [
        (b"HEAD", OK + b"content-length: 45\r\n\r\n", False),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 45\r\n\r\n", False),
        (b"GET", EARLY + b"\r\nHTTP/1.1 204 No Content\r\n\r\n", False),
        (b"GET", OK + b"content-length: 0\r\n\r\n", True),
        (b"GET", OK + b"content-length: 0\r\nconnection: close\r\n\r\n", False),
        (b"GET", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", True),
        (b"GET", b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", False),
    ],
)
async def test_a_response_without_a_body_is_complete_and_its_connection_is_not_reused(
    method: bytes, raw: bytes, reusable: bool
) -> None:
    connection = await requested(method)
    connection.data_received(raw)
    assert await connection.read() == b""
    assert connection.finished
    assert connection.reusable is reusable
