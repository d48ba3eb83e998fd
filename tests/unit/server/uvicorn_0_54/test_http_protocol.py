"""However a connection's bytes are cut into segments, the same requests come of them, and none is hidden in another."""

import asyncio
from itertools import pairwise

import httptools
import pytest

from bff.asgi.extensions import CLOSE_CONNECTION
from bff.asgi.header_section import facts_of
from bff.server.header_sections import HeaderSections
from bff.server.request_framing import CHUNKS_AT_ONCE, EMPTY_LINES
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import RequestGuard
from tests.harness.client_connection import TURNS, Connection, Recorder
from tests.harness.framing_shapes import COMPLETE, EVERY, LAST, SELECTED, Shape, is_handshake
from tests.harness.waiting import loop_turns, until

HIDDEN = "DELETE /api/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = "GET /api/next HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"


def request(method: str, *fields: str, version: str = "HTTP/1.1", target: str = "/api/x") -> str:
    return "\r\n".join([f"{method} {target} {version}", "Host: a", *fields, "", ""])


@pytest.fixture(autouse=True)
def _without_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL")


# --- every shape, at every boundary


def expected(shape: Shape) -> list[tuple[str, str, bytes]]:
    """What an application may get of the shape and a last request behind it."""
    if shape.body is None or is_handshake(shape):
        return []
    first = (shape.head.partition(b" ")[0].decode(), "/api/x", shape.body)
    return [first] if shape.ends else [first, ("GET", "/api/last", b"")]


async def check(shape: Shape, *cuts: int, header_sections: HeaderSections | None = None) -> None:
    raw, recorder = shape.raw + LAST, Recorder()
    connection = Connection(recorder, header_sections=header_sections)
    await connection.receives(*(raw[start:end] for start, end in pairwise([0, *sorted(cuts), len(raw)])))
    where = f"{shape.name}, cut at {cuts}"
    assert connection.wire.closed, where
    await connection.hang_up()
    requests = expected(shape)
    assert recorder.requests == requests, where
    statuses = [status for status in connection.statuses if status != 100]
    assert len(statuses) == max(1, len(requests)), where
    assert shape.body is not None or statuses == [400], where


def boundaries(shape: Shape) -> list[int]:
    """Where a program may change its mind."""
    end, line = len(shape.head), shape.head.index(b"\r\n")
    near = {*range(end - 4, end + 3), end + 5, len(shape.raw) - 2, len(shape.raw), len(shape.raw) + 10, line, line + 1}
    return sorted(cut for cut in near | {shape.raw.find(COMPLETE)} if 0 < cut < len(shape.raw) + len(LAST))


async def test_every_shape_is_one_request_or_is_refused_and_hides_none() -> None:
    for shape in EVERY:
        await check(shape)


async def test_the_boundary_between_two_segments_changes_nothing() -> None:
    for shape in SELECTED:
        for cut in boundaries(shape):
            await check(shape, cut)


async def test_a_shape_that_comes_again_is_the_same_request_or_is_refused_again() -> None:
    header_sections = HeaderSections()
    for _ in range(3):
        for shape in EVERY:
            await check(shape, header_sections=header_sections)


@pytest.mark.parametrize(
    "target",
    ["/", "/api/items", "/api/items?a=1&b=%20c", "/a?", "/a?b?c", "/%61/b%2Fc", "/a;b=c/d", '/a"b', "/a^b|{c}"],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
async def test_the_scope_of_a_known_head_is_that_of_a_new_one(method: str, target: str) -> None:
    recorder, header_sections = Recorder(), HeaderSections()
    head = request(method, "User-Agent: x", "Cookie: a=b", "X-CSRF: 1", target=target)
    for _ in range(3):
        await Connection(recorder, header_sections=header_sections).receives(head)
    new, _, known = [{**scope, CLOSE_CONNECTION: None, "headers": list(scope["headers"])} for scope in recorder.scopes]
    assert known == new
    is_known = facts_of(recorder.scopes[2]["headers"]) is not None
    assert is_known == (method in ("GET", "HEAD") and not set('"^|{}') & set(target))


async def test_a_request_with_known_headers_is_refused_for_its_own_request_line() -> None:
    header_sections = HeaderSections()
    await Connection(Recorder(), header_sections=header_sections).receives(request("GET"), request("GET"))
    for head in (
        request("GET", target="/x y"),
        request("GET", target="/x#y"),
        request("G@T"),
        request("GET", target=""),
    ):
        recorder = Recorder()
        connection = Connection(recorder, header_sections=header_sections)
        await connection.receives(head + HIDDEN)
        assert (connection.statuses, recorder.requests) == ([400], [])


async def test_known_headers_do_not_change_what_another_version_or_method_means() -> None:
    """A head of HTTP/1.0 ends its connection; a length makes no body of a known section."""
    header_sections = HeaderSections()
    for _ in range(3):
        recorder = Recorder()
        connection = Connection(recorder, header_sections=header_sections)
        await connection.receives(request("GET"), request("GET", "Content-Length: 3") + "abc", request("GET"))
        await connection.receives(request("POST"), request("GET", version="HTTP/1.0"), NEXT)
        bodies = [body for _, _, body in recorder.requests]
        assert (bodies, connection.wire.closed) == ([b"", b"abc", b"", b"", b""], True)


@pytest.mark.parametrize("size", [1, 7])
async def test_small_segments_change_nothing(size: int) -> None:
    for shape in SELECTED:
        if len(shape.raw) < 1000:
            await check(shape, *range(size, len(shape.raw + LAST), size))


@pytest.mark.long
async def test_no_boundary_anywhere_changes_anything() -> None:
    for shape in EVERY:
        for cut in boundaries(shape):
            await check(shape, cut)
    for shape in SELECTED:
        for cut in range(1, len(shape.raw)) if len(shape.raw) < 1000 else ():
            await check(shape, cut)


# --- what is refused, and what follows it


@pytest.mark.parametrize(
    "refused",
    [
        "CONNECT evil.test:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nX-CSRF: 1\r\n\r\n",
        request("GET", "Host: a"),
        request("GET", "X-A: b\r\n Content-Length: 3"),
        request("GET", "X-A: b\nX-B: c"),
        request("GET", "X-A: b\rX-B: c"),
        "GET /api/x HTTP/1.1\r\nHost: a\r\n\n",
        "GET /api/x HTTP/1.1\nHost: a\n\n",
        request("GET", target="/api/x y"),
        request("GET", target="/api/x?a=b#y"),
        request("GET", "Connection: Upgrade", "Upgrade: websocket", target="/api/x#y"),
        request("DESCRIBE", version="RTSP/1.0"),
        "\x16\x03\x01\x02\x00\x01\x00",
        "\r\n" * (EMPTY_LINES + 1),
    ],
)
async def test_an_ambiguous_request_is_refused_and_the_rest_ignored(refused: str) -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    await connection.receives(refused + HIDDEN, NEXT)
    [response] = connection.responses
    assert response.problem == (400, "invalid_request")
    assert (response.one("connection"), connection.wire.closed) == ("close", True)
    assert recorder.requests == []


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (request("GET", "Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"), 200),
        (request("GET", "Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"), 200),
        (request("GET", "Connection: close"), 200),
        (request("GET", version="HTTP/1.0"), 200),
        (request("CONNECT", target="evil.test:443"), 405),
        (request("CONNECT"), 405),
    ],
)
async def test_nothing_is_read_behind_the_last_request(head: str, status: int) -> None:
    for segments in ((head + HIDDEN,), (head, HIDDEN)):
        recorder = Recorder()
        connection = Connection(RequestGuard(recorder, ErrorResponder()))
        await connection.receives(*segments)
        assert (connection.statuses, connection.wire.closed) == ([status], True)
        assert connection.responses[0].one("connection") == "close"
        assert [path for _, path, _ in recorder.requests] == (["/api/x"] if status == 200 else [])


async def test_empty_lines_before_a_request_are_skipped() -> None:
    for empty in ("\r\n", "\r\n" * EMPTY_LINES):
        recorder = Recorder()
        await Connection(recorder).receives(empty + NEXT + empty, NEXT)
        assert len(recorder.requests) == 2


async def test_a_request_is_not_parsed_before_the_response_to_the_previous_one() -> None:
    recorder = Recorder()
    recorder.respond.clear()
    connection = Connection(recorder)
    await connection.receives(NEXT + "no HTTP at all\r\n\r\n")
    assert connection.statuses == []
    recorder.respond.set()
    await loop_turns(TURNS)
    assert connection.statuses == [200, 400]


@pytest.mark.parametrize(
    ("version", "length", "statuses"),
    [
        ("HTTP/1.1", "Content-Length: 3", [100, 200]),
        ("HTTP/1.0", "Content-Length: 3", [200]),
        ("HTTP/1.1", None, [200]),
    ],
)
async def test_an_expectation_is_met_only_where_a_body_follows(
    version: str, length: str | None, statuses: list[int]
) -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    await connection.receives(request("POST", "Expect: 100-continue", *[length] * bool(length), version=version))
    await connection.receives(*["abc"] * bool(length))
    assert connection.statuses == statuses
    assert [body for _, _, body in recorder.requests] == [b"abc" if length else b""]


async def test_an_expectation_that_is_refused_ends_the_connection() -> None:
    """The client may send the body all the same, or another request in its place."""
    connection = Connection(RequestGuard(Recorder(), ErrorResponder()))
    head = request("POST", "Expect: 100-continue", f"Content-Length: {len(HIDDEN)}", target="/api/..")
    await connection.receives(head, HIDDEN)
    assert (connection.statuses, connection.wire.closed) == ([400], True)


async def test_trailers_and_extensions_reach_no_application() -> None:
    recorder = Recorder()
    body = '3;a="b"\r\nabc\r\n0;last\r\nCookie: evil\r\nX-User: root\r\n\r\n'
    await Connection(recorder).receives(request("POST", CHUNKED) + body + NEXT)
    assert [body for _, _, body in recorder.requests] == [b"abc", b""]
    assert [[name for name, _ in scope["headers"]] for scope in recorder.scopes] == [
        [b"host", b"transfer-encoding"],
        [b"host"],
    ]


@pytest.mark.parametrize("half", ["body", "length"])
async def test_a_malformed_body_is_a_400_and_ends_the_connection(half: str) -> None:
    recorder = Recorder()
    connection = Connection(recorder)
    if half == "body":
        await connection.receives(request("POST", CHUNKED) + "3\r\nabc\r\n", "xyz\r\n" + NEXT, NEXT)
    else:  # the parser only counts a body of a known length: as if it had lost its place
        connection.feed(request("POST", "Content-Length: 20"))
        connection.protocol.parser = httptools.HttpRequestParser(connection.protocol)
        await connection.receives(b"\0\0\0", NEXT)
    assert connection.responses[0].problem == (400, "invalid_request")
    assert (len(connection.responses), connection.wire.closed) == (1, True)
    assert recorder.requests == [("POST", "/api/x", b"(broken off)")]


# --- bounds


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        ("GET /api/x HTTP/1.1\r\nHost: a\r\nX-A: " + "a" * 100_000, 431),
        ("GET /api/x HTTP/1.1\r\nHost: a\r\n" + "X-A: a\r\n" * 10_000, 431),
        ("GET /api/" + "a" * 100_000, 414),
        ("G" * 100_000, 414),
        (request("POST", CHUNKED) + "3;" + "a" * 100_000, 400),
        (request("POST", CHUNKED) + "3\r\nabc\r\n0\r\n" + "A: b\r\n" * 10_000, 431),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_heads_trailers_and_extensions_are_bounded(raw: str, status: int) -> None:
    for size in (1000, 200_000):
        recorder = Recorder()
        connection = Connection(recorder)
        await connection.receives(*(raw[at : at + size] for at in range(0, len(raw), size)))
        await until(connection.wire.is_closing)
        assert connection.statuses == [status]
        assert {body for _, _, body in recorder.requests} <= {b"(broken off)"}


async def test_pipelined_requests_are_buffered_up_to_a_bound() -> None:
    recorder = Recorder()
    recorder.respond.clear()
    connection, count = Connection(recorder), 100_000 // len(NEXT)
    await connection.receives(NEXT * count)
    assert (connection.wire.paused, len(recorder.requests)) == (True, 1)
    recorder.respond.set()
    await until(lambda: len(recorder.requests) == count)
    assert not connection.wire.paused
    await connection.hang_up()


async def test_other_connections_have_their_turn_while_one_sends_small_chunks() -> None:
    """Counted in turns of the event loop: each of them parses a bounded number of chunks."""
    count, recorder = 20 * CHUNKS_AT_ONCE + 7, Recorder()
    connection, turns = Connection(recorder), 0
    connection.feed(request("POST", CHUNKED) + "1\r\nx\r\n" * count + "0\r\n\r\n" + NEXT)
    assert connection.wire.paused
    async with asyncio.timeout(60):
        while len(recorder.requests) < 2:
            await loop_turns()
            turns += 1
    assert [body for _, _, body in recorder.requests] == [b"x" * count, b""]
    assert turns >= 20
    assert not connection.wire.paused
