"""Timeouts of one exchange, and when it counts as long-lived, so that the end of its session closes it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bff.asgi.write_batching import WriteBatch
from bff.errors import InvalidRequest, RequestTooLarge, UpstreamTimeout
from bff.http1.connection import Http1Connection
from bff.proxy.exchange import Exchange, Interrupted
from bff.proxy.request_body import ClientDisconnected, RequestBody
from bff.session.stream_end import SessionEnded
from tests.harness.recording_transport import RecordingTransport
from tests.harness.routes import a_route
from tests.harness.waiting import loop_turns

EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\r\n"
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"


class Running:
    """An exchange whose client and upstream are played by the test."""

    def __init__(self, method: str = "GET", *, fields: Any = (), limit: int | None = None, **options: Any) -> None:
        self.client: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.transport = RecordingTransport()
        self.registered: list[bool] = []
        self.close: Any = None
        self.connection = Http1Connection(asyncio.get_running_loop(), WriteBatch())
        self.connection.connection_made(self.transport)
        self.body = RequestBody({"method": method, "headers": list(fields)}, self.client.get, limit=limit)
        route = a_route(**{"timeout": 5, "read_timeout": 7, **options})
        self.exchange = Exchange(self.connection, route, self.body, self._register)
        self.method = method

    def _register(self, close: Any, endless: bool) -> Callable[[], None]:
        self.close = close
        self.registered.append(endless)
        return lambda: self.registered.remove(endless)

    def body_chunk(self, chunk: bytes, more: bool) -> None:
        self.client.put_nowait({"type": "http.request", "body": chunk, "more_body": more})

    async def begin(self) -> "asyncio.Task[Any]":
        await self.body.begin(within=60)
        begun = asyncio.create_task(self.exchange.begin(self.method, b"/x", []))
        await loop_turns(2)
        return begun


async def pass_time(advance: Callable[[float], None], *seconds: float) -> None:
    """Each of them passes, and the timers that are due then run."""
    for some in seconds:
        advance(some)
        await loop_turns(3)


async def test_a_response_that_does_not_begin_is_given_up(frozen_clock: Callable[[float], None]) -> None:
    running = Running()
    begun = await running.begin()
    await pass_time(frozen_clock, 0.1, 2, 2.5)
    assert not begun.done()
    await pass_time(frozen_clock, 0.5)
    with pytest.raises(UpstreamTimeout):
        await begun
    assert running.transport.closing
    running.exchange.end()


async def test_a_response_that_stops_is_given_up_after_the_read_timeout(
    frozen_clock: Callable[[float], None],
) -> None:
    running = Running()
    begun = await running.begin()
    running.connection.data_received(PLAIN + b"abc")
    assert (await begun).status == 200
    assert await running.connection.read() == b"abc"
    reading = asyncio.create_task(running.connection.read())
    await loop_turns()
    await pass_time(frozen_clock, 0.1, 5, 1)
    assert not reading.done()
    await pass_time(frozen_clock, 1, 1)
    with pytest.raises(UpstreamTimeout):
        await reading
    running.exchange.end()


async def test_a_body_that_stops_arriving_is_the_clients_fault(frozen_clock: Callable[[float], None]) -> None:
    running = Running("POST", fields=[(b"content-length", b"6")])
    running.body_chunk(b"abc", more=True)
    begun = await running.begin()
    await pass_time(frozen_clock, 0.1, 5)
    with pytest.raises(InvalidRequest):
        await begun
    running.exchange.end()


async def test_the_timeout_of_the_response_runs_from_the_last_byte_of_the_body(
    frozen_clock: Callable[[float], None],
) -> None:
    running = Running("POST", fields=[(b"content-length", b"6")])
    running.body_chunk(b"abc", more=True)
    begun = await running.begin()
    await pass_time(frozen_clock, 0.1, 4)
    running.body_chunk(b"def", more=False)
    await loop_turns(3)
    await pass_time(frozen_clock, 4)
    assert not begun.done()
    running.connection.data_received(PLAIN)
    assert (await begun).status == 200
    assert running.transport.written.endswith(b"\r\n\r\nabcdef")
    running.exchange.end()


async def test_a_body_that_grows_too_large_fails_the_exchange() -> None:
    running = Running("POST", fields=[(b"transfer-encoding", b"chunked")], limit=4)
    running.body_chunk(b"abc", more=True)
    begun = await running.begin()
    running.body_chunk(b"def", more=True)
    with pytest.raises(RequestTooLarge):
        await begun
    assert running.transport.closing
    running.exchange.end()


async def test_a_client_that_disconnects_while_it_waits_ends_the_exchange(
    frozen_clock: Callable[[float], None],
) -> None:
    running = Running()
    begun = await running.begin()
    await pass_time(frozen_clock, 0.1)
    running.client.put_nowait({"type": "http.disconnect"})
    with pytest.raises(ClientDisconnected):
        await begun
    running.exchange.end()


@pytest.mark.parametrize(
    ("method", "response", "registered"),
    [
        ("GET", b"", [False]),
        ("GET", PLAIN, [False]),
        ("GET", EVENTS, [True]),
        ("POST", b"", []),  # its effect would be unknown
        ("POST", PLAIN, [False]),
    ],
)
async def test_an_exchange_is_long_lived_after_a_second_and_an_event_stream_at_once(
    method: str, response: bytes, registered: list[bool], frozen_clock: Callable[[float], None]
) -> None:
    running = Running(method)
    begun = await running.begin()
    if response:
        running.connection.data_received(response)
        running.exchange.response_started(await begun)
    assert running.registered == (registered if response is EVENTS else [])
    await pass_time(frozen_clock, 0.1, 1, 1)
    assert running.registered == registered
    if registered:
        running.close(SessionEnded())
        with pytest.raises(Interrupted):
            await (running.connection.read() if response else begun)
    running.exchange.end()
    assert running.registered == []
    begun.cancel()


async def test_a_late_event_stream_is_registered_again_as_endless(frozen_clock: Callable[[float], None]) -> None:
    running = Running()
    begun = await running.begin()
    await pass_time(frozen_clock, 0.1, 1, 1)
    assert running.registered == [False]
    running.connection.data_received(EVENTS)
    running.exchange.response_started(await begun)
    assert running.registered == [True]
    running.exchange.end()
