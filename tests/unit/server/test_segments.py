"""However a connection's bytes are cut into segments, the same requests come of them: every shape, at every boundary.

The protocol gets the segments as the event loop would hand them over, so that a boundary is where the test puts it.
What real sockets and real proxies make of them is in `test_through_proxies`.
"""

import asyncio
from collections.abc import Iterable
from itertools import pairwise

import httptools
import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.server import uvicorn_config
from tests.harness.client_connection import Wire
from tests.harness.framing_shapes import COMPLETE, EVERY, LAST, SELECTED, Shape, websocket

Taken = list[tuple[str, str, bytes]]


class Recorder:
    """An application that reads each request to its end and remembers it."""

    def __init__(self) -> None:
        self.taken: Taken = []
        self.config = uvicorn_config(self, lifespan="off")
        self.config.load()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            raise AssertionError("no handshake here has a key")
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.taken.append((scope["method"], scope["path"], b"(broken off)"))
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.taken.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def hears(self, segments: Iterable[bytes]) -> tuple[Taken, list[bytes], bool]:
        """The requests that the application got, the statuses that the client got, and whether the connection ended."""
        self.taken = []
        wire = Wire()
        state = ServerState()
        protocol = HttpProtocol(self.config, state, app_state={})
        protocol.connection_made(wire)
        for segment in segments:
            if wire.closed:
                break
            protocol.data_received(segment)
            await self._quiet(state)
        await self._quiet(state)
        statuses = [line.split()[1] for line in wire.written.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        closed = wire.closed
        protocol.connection_lost(None)
        await self._quiet(state)
        return self.taken, statuses, closed

    async def _quiet(self, state: ServerState) -> None:
        for _ in range(6):
            await asyncio.sleep(0)
        del state


def expected(one: Shape) -> Taken:
    """What an application may get, directly, of the shape and a last request behind it."""
    method = one.head.partition(b" ")[0].decode()
    if one.body is None:
        return []
    if websocket(one):
        return []
    first = (method, "/api/x", one.body)
    return [first] if one.ends else [first, ("GET", "/api/last", b"")]


async def check(recorder: Recorder, one: Shape, *cuts: int) -> None:
    raw = one.raw + LAST
    edges = [0, *sorted(cuts), len(raw)]
    taken, statuses, closed = await recorder.hears(raw[a:b] for a, b in pairwise(edges))
    where = f"{one.name}, cut at {cuts}"
    assert closed, where
    if one.body is None and taken:
        # The body of a request that turned out to be malformed: the application was told that it broke off.
        assert [body for _, _, body in taken] == [b"(broken off)"], where
    else:
        assert taken == expected(one), where
    final = [status for status in statuses if status != b"100"]
    assert len(final) == max(1, len(expected(one))), where
    if one.body is None:
        assert final == [b"400"], where


@pytest.fixture(autouse=True)
def quietly(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


def boundaries(one: Shape) -> list[int]:
    """The ones at which programs change their mind."""
    end = len(one.head)
    near = {end - 4, end - 3, end - 2, end - 1, end, end + 1, end + 2, end + 5, len(one.raw) - 2, len(one.raw)}
    near |= {one.head.index(b"\r\n"), one.head.index(b"\r\n") + 1, one.raw.find(COMPLETE), len(one.raw) + 10}
    return sorted(cut for cut in near if 0 < cut < len(one.raw) + len(LAST))


async def test_every_shape_is_one_request_or_is_refused_and_hides_none() -> None:
    recorder = Recorder()
    for one in EVERY:
        await check(recorder, one)
        await check(recorder, one, len(one.head))


async def test_nothing_changes_with_the_boundary_between_two_segments() -> None:
    recorder = Recorder()
    for one in SELECTED:
        for cut in boundaries(one):
            await check(recorder, one, cut)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_nothing_changes_where_it_comes_in_small_pieces(size: int) -> None:
    recorder = Recorder()
    for one in SELECTED:
        if len(one.raw) < 1000:
            await check(recorder, one, *range(size, len(one.raw + LAST), size))


@pytest.mark.long
async def test_nothing_changes_wherever_it_is_cut() -> None:
    recorder = Recorder()
    for one in EVERY:
        for cut in boundaries(one):
            await check(recorder, one, cut)
    for one in SELECTED:
        for cut in range(1, len(one.raw)) if len(one.raw) < 1000 else ():
            await check(recorder, one, cut)


async def test_a_client_that_sends_requests_without_waiting_is_not_read_beyond_a_bound() -> None:
    go_on = asyncio.Event()
    taken: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        taken.append(scope["path"])
        await receive()
        listening = asyncio.create_task(receive())  # for the news that the client hung up: it would like to read on
        await go_on.wait()
        listening.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn_config(slow, lifespan="off")
    config.load()
    wire, state = Wire(), ServerState()
    protocol = HttpProtocol(config, state, app_state={})
    protocol.connection_made(wire)
    one = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
    count = 100_000 // len(one)
    protocol.data_received(one * count)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (wire.paused, taken) == (True, ["/x"])
    go_on.set()
    async with asyncio.timeout(60):
        while len(taken) < count:
            await asyncio.sleep(0)
    assert not wire.paused
    protocol.connection_lost(None)


async def test_a_body_that_the_parser_refuses_is_a_400_and_ends_the_connection() -> None:
    """The parser only counts a body of a known length. If it loses its place, the client learns of it nevertheless."""
    taken: list[str] = []

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        taken.append((await receive())["type"])

    config = uvicorn_config(reading, lifespan="off")
    config.load()
    wire = Wire()
    protocol = HttpProtocol(config, ServerState(), app_state={})
    protocol.connection_made(wire)
    protocol.data_received(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n")
    protocol.parser = httptools.HttpRequestParser(protocol)  # which expects a head, as after a defect of its own
    protocol.data_received(b"\0\0\0")
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in wire.written
    assert wire.closed
    protocol.data_received(LAST)
    for _ in range(6):
        await asyncio.sleep(0)
    assert taken == ["http.disconnect"]
    assert wire.written.count(b"HTTP/1.1 ") == 1
    protocol.connection_lost(None)
