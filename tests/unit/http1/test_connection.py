"""One connection to an upstream: what is written, in which order, and when it may carry another exchange."""

import asyncio

import pytest

from bff.asgi.write_batching import WriteBatch
from bff.errors import InvalidRequest, UpstreamTimeout
from bff.http1.connection import BUFFERED, Http1Connection
from tests.harness.recording_transport import RecordingTransport
from tests.harness.waiting import loop_turns

NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def connected(batch: WriteBatch | None = None) -> tuple[Http1Connection, RecordingTransport]:
    transport = RecordingTransport("upstream")
    connection = Http1Connection(asyncio.get_running_loop(), batch or WriteBatch())
    connection.connection_made(transport)
    return connection, transport


@pytest.mark.parametrize(
    ("method", "length", "added"),
    [
        (b"GET", -1, b""),
        (b"POST", 0, b"content-length: 0\r\n"),
        (b"POST", 3, b"content-length: 3\r\n"),
        (b"PUT", 3, b"content-length: 3\r\n"),
        (b"PATCH", 3, b"content-length: 3\r\n"),
        (b"POST", None, b"transfer-encoding: chunked\r\nconnection: close\r\n"),
        (b"DELETE", 3, b"content-length: 3\r\nconnection: close\r\n"),
        (b"HEAD", -1, b"connection: close\r\n"),
    ],
)
async def test_a_head_states_the_framing_and_closes_where_a_body_might_stay_unread(
    method: bytes, length: int | None, added: bytes
) -> None:
    connection, transport = connected()
    connection.send_head(method, b"/a", [(b"host", b"api"), (b"x", b"caf\xe9")], length=length)
    assert transport.written == method + b" /a HTTP/1.1\r\nhost: api\r\nx: caf\xe9\r\n" + added + b"\r\n"
    connection.send_body(b"abc" if length in (3, None) else b"")
    connection.end_body()
    connection.data_received(EMPTY)
    assert connection.reusable is (b"close" not in added)


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_header_that_could_end_its_line_is_refused(value: bytes) -> None:
    connection, transport = connected()
    with pytest.raises(InvalidRequest):
        connection.send_head(b"GET", b"/a", [(b"x", value)], length=-1)
    assert transport.written == b""


@pytest.mark.parametrize(("length", "written"), [(5, b"abcde"), (None, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")])
async def test_a_body_is_framed_as_its_head_says(length: int | None, written: bytes) -> None:
    connection, transport = connected()
    connection.send_head(b"POST", b"/a", [], length=length)
    for chunk in (b"abc", b"", b"de"):
        connection.send_body(chunk)
    connection.end_body()
    assert transport.written.partition(b"\r\n\r\n")[2] == written


@pytest.mark.parametrize(
    ("response", "sent", "unsent", "reusable"),
    [
        (EMPTY, True, 0, True),
        (EMPTY, False, 0, False),
        (EMPTY, True, 1, False),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", True, 0, False),
        (b"HTTP/1.1 308 Permanent Redirect\r\ncontent-length: 0\r\n\r\n", True, 0, False),
    ],
)
async def test_a_connection_is_reused_only_if_the_body_was_certainly_read(
    response: bytes, sent: bool, unsent: int, reusable: bool
) -> None:
    connection, transport = connected()
    connection.send_head(b"POST", b"/a", [], length=3)
    connection.send_body(b"abc")
    if sent:
        connection.end_body()
    transport.unsent = unsent
    connection.data_received(response)
    connection.end_body()
    assert connection.finished
    assert connection.reusable is reusable


@pytest.mark.case("PX-065")
async def test_data_after_a_response_or_between_two_closes_the_connection() -> None:
    for again in (b"x", EMPTY, NO_CONTENT):
        connection, transport = connected()
        connection.send_head(b"GET", b"/a", [], length=-1)
        connection.data_received(EMPTY + again)
        assert (await connection.head()).status == 200
        assert not connection.reusable
        resting, transport = connected()
        resting.send_head(b"GET", b"/a", [], length=-1)
        resting.data_received(EMPTY)
        resting.rest()
        resting.data_received(again)
        assert transport.closing
        assert resting.closed


async def test_reading_pauses_while_the_client_does_not_read() -> None:
    connection, transport = connected()
    connection.send_head(b"GET", b"/a", [], length=-1)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (2 * BUFFERED))
    connection.data_received(b"x" * (BUFFERED - 1))
    assert transport.reading
    connection.data_received(b"x")
    assert not transport.reading
    assert len(await connection.read()) == BUFFERED
    assert transport.reading


async def test_an_upload_waits_while_the_upstream_does_not_read() -> None:
    connection, _ = connected()
    connection.send_head(b"POST", b"/a", [], length=3)
    connection.pause_writing()
    waiting = asyncio.create_task(connection.drain())
    await loop_turns(3)
    assert not waiting.done()
    connection.resume_writing()
    await waiting
    connection.pause_writing()
    broken = asyncio.create_task(connection.drain())
    await loop_turns()
    connection.fail(UpstreamTimeout())
    with pytest.raises(UpstreamTimeout):
        await broken


async def test_the_first_failure_is_the_one_that_is_raised() -> None:
    connection, transport = connected()
    connection.send_head(b"GET", b"/a", [], length=-1)
    waiting = asyncio.create_task(connection.head())
    await loop_turns()
    connection.fail(UpstreamTimeout())
    connection.fail(InvalidRequest())
    with pytest.raises(UpstreamTimeout):
        await waiting
    assert transport.closing


async def test_an_upload_does_not_overtake_a_head_that_waits_for_the_same_upstream() -> None:
    """An upstream that responds to what it was not asked yet frees its connection before the request was sent."""
    batch = WriteBatch()
    connection, transport = connected(batch)
    batch.write(RecordingTransport(), b"first in this turn")
    connection.send_head(b"GET", b"/a", [], length=-1)
    assert transport.log == []
    connection.data_received(NO_CONTENT)
    connection.rest()
    connection.send_head(b"POST", b"/b", [], length=1)
    connection.send_body(b"x")
    await loop_turns()
    assert [line.split()[1] for line in transport.log] == ["GET", "POST", "x"]


async def test_a_head_that_waits_for_a_connection_that_broke_is_dropped() -> None:
    batch = WriteBatch()
    connection, transport = connected(batch)
    batch.write(RecordingTransport(), b"first in this turn")
    connection.send_head(b"GET", b"/a", [], length=-1)
    connection.abort()
    await loop_turns()
    assert transport.written == b""
