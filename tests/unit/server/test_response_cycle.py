"""How an answer leaves: the head in one look, with the first of the body where that is there, alone where it is not."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from bff.asgi.write_batching import WriteBatch
from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.server import uvicorn_config
from tests.harness.world import listening, serving

Header = tuple[bytes, bytes]
LENGTH_5: list[Header] = [(b"content-length", b"5")]


def answering(headers: Sequence[Header], *pieces: bytes, status: int = 200) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for number, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})

    return app


@asynccontextmanager
async def asking(app: ASGIApp, http: Any = None) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    with listening() as bound:
        async with serving(app, bound, http=http):
            reader, writer = await asyncio.open_connection(*bound.getsockname())
            try:
                yield reader, writer
            finally:
                writer.close()


class Written(list[bytes]):
    """What went to the transport, write by write."""


def watched_by(written: Written) -> type[HttpProtocol]:
    """The shipped protocol on a transport that remembers each write."""

    class WatchedProtocol(HttpProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(_Watched(transport, written))  # type: ignore[arg-type]

    return WatchedProtocol


@pytest.fixture
def written() -> Written:
    return Written()


class _Watched:
    def __init__(self, transport: Any, told: Written) -> None:
        self._transport, self._told = transport, told

    def write(self, data: bytes) -> None:
        self._told.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def answer(app: ASGIApp, method: str = "GET", *, written: Written | None = None) -> tuple[bytes, bytes]:
    """Head and body as they came, to a client that wants no second answer. `written` gets the writes of the server."""
    http = None if written is None else watched_by(written)
    async with asyncio.timeout(60), asking(app, http) as (reader, writer):
        writer.write(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n{method} /again HTTP/1.0\r\nHost: a\r\n\r\n".encode())
        both = await reader.read()
        assert both.count(b"HTTP/1.1 ") == 2, "each of the two requests has its answer"
        head, _, rest = both.partition(b"\r\n\r\n")
        return head, rest.partition(b"HTTP/1.1 ")[0]


async def test_head_and_body_that_are_there_together_leave_together(written: Written) -> None:
    head, body = await answer(answering(LENGTH_5, b"hello"), written=written)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-length: 5" in head
    assert body == b"hello"
    assert written[0].endswith(b"\r\n\r\nhello")


async def test_a_large_piece_is_not_copied_behind_the_head(written: Written) -> None:
    large = b"x" * 100_000
    _, body = await answer(answering([(b"content-length", b"100000")], large), written=written)
    assert body == large
    assert written[0].endswith(b"\r\n\r\n")
    assert written[1] == large


async def test_a_head_does_not_wait_for_a_body_that_lets_us_wait() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    async with asyncio.timeout(10), asking(app) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")  # an EventSource is open by this
        assert b"transfer-encoding: chunked" in head
        go_on.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"9\r\ndata: 1\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("app", "method", "framing", "body"),
    [
        pytest.param(answering(LENGTH_5, b"hel", b"lo"), "GET", b"content-length: 5", b"hello", id="in two pieces"),
        pytest.param(
            answering([], b"hello"), "GET", b"transfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(answering([], b""), "GET", b"transfer-encoding: chunked", b"0\r\n\r\n", id="chunked and empty"),
        pytest.param(answering(LENGTH_5, b""), "HEAD", b"content-length: 5", b"", id="HEAD"),
        pytest.param(answering([], b"", status=204), "GET", b"HTTP/1.1 204", b"", id="204"),
        pytest.param(answering([], b"", status=304), "GET", b"HTTP/1.1 304", b"", id="304"),
        pytest.param(
            answering([(b"Content-Length", b"5")], b"hello"), "GET", b"content-length: 5", b"hello", id="capitals"
        ),
    ],
)
async def test_every_framing_is_as_it_should_be(app: ASGIApp, method: str, framing: bytes, body: bytes) -> None:
    head, came = await answer(app, method)
    assert framing in head
    assert (b"transfer-encoding" in head) == framing.startswith(b"transfer-encoding")
    assert came == body


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"1\r\nset-cookie: planted=1"),
        (b"x-a", b"1\nset-cookie: planted=1"),
        (b"x-a", b"1\rset-cookie: planted=1"),
        (b"x-a", b"1\0"),
        (b"x-a: 1\r\nset-cookie", b"planted=1"),
        (b"x a", b"1"),
    ],
    ids=repr,
)
async def test_a_header_never_begins_another_one(header: Header, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(10), asking(answering([header, *LENGTH_5], b"hello")) as (reader, writer):
        writer.write(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        plain = await reader.read()
    async with asyncio.timeout(10), asking(answering([header, *LENGTH_5], b"hello")) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        alive = await reader.read()
    assert b"set-cookie" not in plain + alive
    assert b"hello" not in plain + alive, "uvicorn's own code refuses it, and so do we"


async def test_a_connection_that_is_to_end_says_so_and_ends() -> None:
    async with (
        asyncio.timeout(10),
        asking(answering([(b"connection", b"close"), *LENGTH_5], b"hello")) as (reader, writer),
    ):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert body == b"hello"


async def test_requests_sent_in_one_go_are_answered_in_their_order() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = scope["path"].encode()
        await answering([(b"content-length", b"%d" % len(body))], body)(scope, receive, send)

    async with asyncio.timeout(10), asking(app) as (reader, writer):
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(20)))
        for number in range(20):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            assert await reader.readexactly(length) == b"/%d" % number


# --- a response that waits in the write batch


class Told(asyncio.Transport):
    """A client's connection that remembers what was written and that it was closed."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2), "socket": None})
        self.told: list[bytes] = []

    def write(self, data: Any) -> None:
        self.told.append(bytes(data))

    def is_closing(self) -> bool:
        return b"(closed)" in self.told

    def close(self) -> None:
        self.told.append(b"(closed)")

    def can_write_eof(self) -> bool:
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def answered_and_not_sent() -> tuple[HttpProtocol, Told]:
    """A connection whose answer is complete, in the turn in which it became so; another one was answered before it."""

    async def second_in_its_turn(scope: Scope, receive: Receive, send: Send) -> None:
        write_batch.write(Told(), b"another answer")
        await answering(LENGTH_5, b"hello")(scope, receive, send)

    write_batch = WriteBatch()
    config = uvicorn_config(second_in_its_turn, lifespan="off")
    config.load()
    transport = Told()
    protocol = HttpProtocol(config, ServerState(), app_state={}, write_batch=write_batch)
    protocol.connection_made(transport)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    while not protocol.cycle.response_complete:
        await asyncio.sleep(0)
        if transport.told:
            raise AssertionError("it was sent at once; this test is about the turn before")
    return protocol, transport


async def test_a_server_that_stops_in_that_very_turn_sends_it_before_it_closes() -> None:
    protocol, transport = await answered_and_not_sent()
    protocol.shutdown()
    assert transport.told[0].endswith(b"\r\n\r\nhello")
    assert transport.told[1:] == [b"(closed)"]
    await asyncio.sleep(0)
    assert len(transport.told) == 2


@pytest.mark.parametrize(
    "next_bytes",
    [
        b"what is this\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 0\r\n\r\n",
    ],
    ids=["no HTTP", "a handshake that is refused"],
)
async def test_what_comes_next_on_the_connection_does_not_overtake_it(next_bytes: bytes) -> None:
    protocol, transport = await answered_and_not_sent()
    protocol.data_received(next_bytes)
    async with asyncio.timeout(60):
        while len(transport.told) < 2:
            await asyncio.sleep(0.001)
    assert transport.told[0].startswith(b"HTTP/1.1 200 OK\r\n")
    assert transport.told[1].startswith(b"HTTP/1.1 4")


async def test_it_leaves_by_itself_at_the_end_of_the_turn() -> None:
    _, transport = await answered_and_not_sent()
    await asyncio.sleep(0)
    assert [told.endswith(b"hello") for told in transport.told] == [True]


async def test_what_a_request_made_is_freed_when_it_is_over_without_a_collection() -> None:
    """A ring of references in it would keep a hundred objects for each request until a collection comes by."""
    protocol, _ = await answered_and_not_sent()
    over = weakref.ref(protocol.cycle)
    gc.disable()
    try:
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(10):
            while not protocol.cycle.response_complete:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert over() is None
    finally:
        gc.enable()


# --- HTTP/1.0


@pytest.mark.parametrize(
    ("app", "method", "body"),
    [
        pytest.param(answering([], b"hello"), "GET", b"hello", id="in one piece"),
        pytest.param(answering([], b"hel", b"", b"lo", b""), "GET", b"hello", id="in pieces"),
        pytest.param(answering([], b"x" * 100_000, b"y" * 100_000), "GET", b"x" * 100_000 + b"y" * 100_000, id="large"),
        pytest.param(answering([], b""), "GET", b"", id="empty"),
        pytest.param(answering([], b""), "HEAD", b"", id="HEAD"),
        pytest.param(answering([], b"", status=204), "GET", b"", id="204"),
        pytest.param(answering(LENGTH_5, b"hel", b"lo"), "GET", b"hello", id="with a length"),
    ],
)
async def test_a_client_of_http_1_0_gets_no_chunks_but_the_end_of_the_connection(
    app: ASGIApp, method: str, body: bytes
) -> None:
    async with asyncio.timeout(60), asking(app) as (reader, writer):
        writer.write(f"{method} / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
        head, _, received = (await reader.read()).partition(b"\r\n\r\n")
    assert received == body
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head
