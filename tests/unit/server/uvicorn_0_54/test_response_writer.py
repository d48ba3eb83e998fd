"""How a response leaves: its framing, in how many writes, and that no header begins another one."""

import asyncio
import gc
import weakref
from collections.abc import Sequence

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.extensions import BODY_FOLLOWS, close_connection
from tests.harness.client_connection import TURNS, Connection, Recorder
from tests.harness.waiting import loop_turns

Header = tuple[bytes, bytes]
LENGTH_5: list[Header] = [(b"content-length", b"5")]


def responding(headers: Sequence[Header], *pieces: bytes, status: int = 200, **start: bool) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers), **start})
        for number, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": number < len(pieces)})

    return app


def request(method: str = "GET", version: str = "1.1") -> str:
    return f"{method} / HTTP/{version}\r\nHost: a\r\n\r\n"


async def response_of(app: ASGIApp, method: str = "GET", version: str = "1.1") -> tuple[bytes, bytes, Connection]:
    connection = Connection(app)
    await connection.receives(request(method, version))
    head, _, body = connection.wire.written.partition(b"\r\n\r\n")
    return head, body, connection


@pytest.mark.parametrize("start", [{}, {BODY_FOLLOWS: True}])
async def test_head_and_body_that_are_there_together_leave_in_one_write(start: dict[str, bool]) -> None:
    head, body, connection = await response_of(responding(LENGTH_5, b"hello", **start))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (body, len(connection.wire.writes)) == (b"hello", 1)


async def test_a_large_body_is_not_copied_behind_the_head() -> None:
    large = bytes(100_000)
    _, _, connection = await response_of(responding([(b"content-length", b"100000")], large))
    assert connection.wire.writes[1:] == [large]


async def test_a_head_does_not_wait_for_its_body() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"data: 1\n\n"})

    head, body, connection = await response_of(app)
    assert (b"transfer-encoding: chunked" in head, body) == (True, b"")
    go_on.set()
    await loop_turns(TURNS)
    assert connection.wire.written.endswith(b"\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n")


CHUNKED = b"transfer-encoding: chunked"


@pytest.mark.parametrize(
    ("app", "method", "framing", "body"),
    [
        (responding(LENGTH_5, b"hel", b"lo"), "GET", b"content-length: 5", b"hello"),
        (responding([(b"Content-Length", b"5")], b"hello"), "GET", b"content-length: 5", b"hello"),
        (responding([], b"hello"), "GET", CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"),
        (responding([], b"hel", b"", b"lo"), "GET", CHUNKED, b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
        (responding([], b""), "GET", CHUNKED, b"0\r\n\r\n"),
        (responding(LENGTH_5, b""), "HEAD", b"content-length: 5", b""),
        (responding([], b"", status=204), "GET", b"HTTP/1.1 204", b""),
        (responding([], b"", status=304), "GET", b"HTTP/1.1 304", b""),
    ],
)
async def test_every_response_has_one_framing_and_keeps_the_connection(
    app: ASGIApp, method: str, framing: bytes, body: bytes
) -> None:
    head, received, connection = await response_of(app, method)
    assert framing in head
    assert (CHUNKED in head) == (framing == CHUNKED)
    assert head.lower().count(b"content-length") + head.count(CHUNKED) == (0 if framing.startswith(b"HTTP") else 1)
    assert received == body
    await connection.receives(request(method))
    assert connection.wire.written.count(b"HTTP/1.1 ") == 2
    assert not connection.wire.closed


@pytest.mark.parametrize(
    ("app", "method", "body"),
    [
        (responding([], b"hello"), "GET", b"hello"),
        (responding([], b"hel", b"", b"lo", b""), "GET", b"hello"),
        (responding([], b"x" * 100_000, b"y"), "GET", b"x" * 100_000 + b"y"),
        (responding([], b""), "GET", b""),
        (responding([], b""), "HEAD", b""),
        (responding([], b"", status=204), "GET", b""),
        (responding(LENGTH_5, b"hel", b"lo"), "GET", b"hello"),
    ],
)
async def test_a_response_to_http_1_0_has_no_chunks_and_ends_with_the_connection(
    app: ASGIApp, method: str, body: bytes
) -> None:
    head, received, connection = await response_of(app, method, "1.0")
    assert (received, CHUNKED in head, connection.wire.closed) == (body, False, True)
    assert b"\r\nconnection: close" in head


async def test_connection_close_is_sent_and_done() -> None:
    head, body, connection = await response_of(responding([(b"connection", b"close"), *LENGTH_5], b"hello"))
    assert (b"\r\nconnection: close" in head, body, connection.wire.closed) == (True, b"hello", True)


@pytest.mark.parametrize(
    "header",
    [
        *((b"x-a", b"1" + line + b"set-cookie: planted=1") for line in (b"\r\n", b"\n", b"\r")),
        (b"x-a", b"1\0"),
        (b"x-a: 1\r\nset-cookie", b"planted=1"),
        (b"x a", b"1"),
    ],
    ids=repr,
)
async def test_a_header_never_begins_another_one(header: Header, caplog: pytest.LogCaptureFixture) -> None:
    for version in ("1.0", "1.1"):
        head, body, _ = await response_of(responding([header, *LENGTH_5], b"hello"), version=version)
        assert (b"set-cookie" in head, b"hello" in body) == (False, False)


async def test_a_request_is_freed_when_it_is_over_without_a_collection() -> None:
    """A reference cycle would keep a hundred objects for each request until a collection."""
    connection = Connection(Recorder())
    await connection.receives(request())
    over = weakref.ref(connection.protocol.cycle)
    gc.disable()
    try:
        await connection.receives(request())
        assert over() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(("version", "at_once"), [("1.1", False), ("1.1", True), ("1.0", False)])
async def test_a_response_that_breaks_off_never_looks_whole(version: str, at_once: bool) -> None:
    """Over HTTP/1.0 the end of the connection would be the end of the response: it is reset."""

    async def breaks_off(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        assert close_connection(scope, at_once=at_once)

    _, body, connection = await response_of(breaks_off, version=version)
    assert (body.endswith(b"0\r\n\r\n"), connection.wire.closed) == (False, True)
    assert connection.wire.aborted is (at_once or version == "1.0")
