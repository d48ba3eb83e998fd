"""Which waits for a client have a limit, and how a connection ends. The test advances the clock."""

import pytest

from bff.asgi.write_batching import WriteBatch
from bff.server.uvicorn_0_54.closing import LINGER_BYTES
from bff.server.uvicorn_0_54.server import KEEP_ALIVE
from bff.server.uvicorn_0_54.timeouts import Timeouts
from tests.harness.client_connection import TURNS, Connection, Recorder, Wire
from tests.harness.waiting import loop_turns

TIMEOUTS = Timeouts(head=30.0, linger=7.0)
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
HANDSHAKE = (
    b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def connection(recorder: Recorder) -> Connection:
    return Connection(recorder, timeouts=TIMEOUTS)


def closes_after(connection: Connection, seconds: float) -> None:
    connection.timers.advance(seconds - 1)
    assert not connection.wire.closed
    connection.timers.advance(1)
    assert connection.wire.closed


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET /x HT", GET[:-2]])
@pytest.mark.case("PX-072")
async def test_a_head_has_a_time_limit_however_much_of_it_arrived(connection: Connection, begun: bytes) -> None:
    for byte in begun:
        await connection.receives(bytes([byte]))
        connection.timers.advance(0.5)
    closes_after(connection, TIMEOUTS.head - len(begun) / 2)


@pytest.mark.parametrize("begun", [b"\r\n", b"GET /y HT"])
@pytest.mark.case("PX-072")
async def test_the_next_head_has_the_same_limit(connection: Connection, begun: bytes) -> None:
    await connection.receives(GET)
    connection.timers.advance(TIMEOUTS.head + 1)
    assert not connection.wire.closed, "an idle connection has another limit"
    await connection.receives(begun)
    closes_after(connection, TIMEOUTS.head)


async def test_an_idle_connection_is_kept_for_the_keep_alive_time(connection: Connection) -> None:
    for _ in range(2):
        await connection.receives(GET)
        connection.timers.advance(KEEP_ALIVE - 1)
    assert connection.statuses == [200, 200]
    assert not connection.wire.closed
    connection.timers.advance(1)
    assert connection.wire.closed


async def test_a_slow_body_and_a_slow_response_have_no_limit_here(connection: Connection, recorder: Recorder) -> None:
    recorder.respond.clear()
    await connection.receives(POST)
    for byte in b"abc":
        connection.timers.advance(10 * TIMEOUTS.head)
        await connection.receives(bytes([byte]))
    connection.timers.advance(10 * TIMEOUTS.head)
    recorder.respond.set()
    await loop_turns(TURNS)
    assert (connection.statuses, connection.wire.closed) == ([200], False)


async def test_a_websocket_has_no_limit_for_a_head(connection: Connection) -> None:
    await connection.receives(HANDSHAKE)
    assert connection.wire.protocol is not connection.protocol
    connection.timers.advance(10 * TIMEOUTS.head)
    assert not connection.wire.closed
    await connection.hang_up()


@pytest.mark.parametrize(("reads", "aborted"), [(True, False), (False, True)])
async def test_after_a_refusal_the_client_has_time_to_read_it(recorder: Recorder, reads: bool, aborted: bool) -> None:
    connection = Connection(recorder, wire=Wire(half_closes=True), timeouts=TIMEOUTS)
    await connection.receives(b"no HTTP at all\r\n\r\n")
    assert (connection.statuses, connection.wire.ended, connection.wire.closed) == ([400], True, False)
    await connection.receives(GET)
    assert (connection.statuses, recorder.requests) == ([400], [])
    if reads:
        await connection.hang_up()
    connection.timers.advance(TIMEOUTS.linger)
    assert connection.wire.aborted is aborted


async def test_what_a_refused_client_still_sends_is_bounded(recorder: Recorder) -> None:
    connection = Connection(recorder, wire=Wire(half_closes=True))
    await connection.receives(b"no HTTP at all\r\n\r\n", bytes(LINGER_BYTES))
    assert not connection.wire.closed
    await connection.receives(b"x")
    assert connection.wire.aborted


async def test_a_refusal_in_the_middle_of_a_response_only_closes(recorder: Recorder) -> None:
    async def streams(scope: object, receive: object, send: object) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})  # type: ignore[operator]
        await send({"type": "http.response.body", "body": b"first", "more_body": True})  # type: ignore[operator]
        await receive()  # type: ignore[operator]

    connection = Connection(streams)
    await connection.receives(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"no size\r\n")
    assert (connection.statuses, connection.wire.closed) == ([200], True)


# --- what waits in the write batch leaves before the connection closes


async def waiting_response() -> Connection:
    """The response is complete in this very turn, behind that to another connection."""
    write_batch = WriteBatch()

    async def app(scope: object, receive: object, send: object) -> None:
        write_batch.write(Wire(), b"another response")
        await send(  # type: ignore[operator]
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}
        )
        await send({"type": "http.response.body", "body": b"hello"})  # type: ignore[operator]

    connection = Connection(app, write_batch=write_batch)
    connection.feed(GET)
    while not connection.protocol.cycle.response_complete:
        await loop_turns()
        assert connection.wire.writes == []
    return connection


async def test_a_server_that_stops_sends_a_waiting_response_first() -> None:
    connection = await waiting_response()
    connection.protocol.shutdown()
    assert [response.body for response in connection.responses] == [b"hello"]
    assert connection.wire.closed


@pytest.mark.parametrize("next_bytes", [b"no HTTP at all\r\n\r\n", HANDSHAKE.replace(b"13", b"0")])
async def test_what_follows_does_not_overtake_a_waiting_response(next_bytes: bytes) -> None:
    connection = await waiting_response()
    await connection.receives(next_bytes)
    assert [status // 100 for status in connection.statuses] == [2, 4]
