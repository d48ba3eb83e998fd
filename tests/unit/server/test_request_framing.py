"""The rules of request framing as tables: where a head ends, what follows it, and what is refused."""

from itertools import pairwise

import pytest

from bff.errors import BffError, HeadersTooLarge, InvalidRequest, TargetTooLong
from bff.server.request_framing import (
    CHUNK_LINE_LIMIT,
    CHUNKS_AT_ONCE,
    EXTENSIONS_LIMIT,
    HEAD_LIMIT,
    REQUEST_LINE_LIMIT,
    TRAILERS_LIMIT,
    ChunkedBody,
    LengthBody,
    Upgrade,
    check_head,
    decide_framing,
    find_head,
)

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = (b"host", b"a")
CHUNKED = (b"transfer-encoding", b"chunked")
LENGTH = (b"content-length", b"3")


def test_a_head_ends_with_its_empty_line() -> None:
    assert find_head(GET) == find_head(GET + GET) == len(GET)
    for end in range(len(GET)):
        assert find_head(GET[:end]) == 0
        assert find_head(GET, end) == len(GET), "whatever was searched before"


@pytest.mark.parametrize(
    ("buffer", "error"),
    [
        (b"GET /" + b"a" * (REQUEST_LINE_LIMIT - 6), None),
        (b"GET /" + b"a" * (REQUEST_LINE_LIMIT - 5), TargetTooLong),
        (GET[:-2] + b"X: " + b"a" * (HEAD_LIMIT - len(GET) - 2), None),
        (GET[:-2] + b"X: " + b"a" * (HEAD_LIMIT - len(GET) - 1), HeadersTooLarge),
        (GET[:-2] + b"X: " + b"a" * (HEAD_LIMIT - len(GET) - 3) + b"\r\n\r\n", HeadersTooLarge),
        (b"GET /x HTTP/1.1\nHost: a\n\n", InvalidRequest),
        (b"GET /x HTTP/1.1\r\nX: a\rb", InvalidRequest),
        (b"\x16\x03\x01", InvalidRequest),
        (b" GET", InvalidRequest),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_can_become_no_head_is_refused_before_it_is_complete(buffer: bytes, error: type[BffError] | None) -> None:
    if error is None:
        assert find_head(buffer) == 0
        return
    with pytest.raises(error):
        find_head(buffer)


@pytest.mark.parametrize(
    ("head", "target", "headers"),
    [
        (b"GET /x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", b"/x", 1),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n", b"/x", 1),
        (GET, b"/x", 2),
        (b"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", b"/x#y", 1),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"/\xff", 1),
        (b"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n", b"/x y", 1),
        (b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n", b"/x", 1),
        (b"GET /x HTTP/2.0\r\nHost: a\r\n\r\n", b"/x", 1),
        (b"GET /x HTTP/1.11\r\nHost: a\r\n\r\n", b"/x", 1),
    ],
)
def test_a_head_that_can_be_parsed_in_two_ways_is_refused(head: bytes, target: bytes, headers: int) -> None:
    with pytest.raises(InvalidRequest):
        check_head(head, target, headers)


def test_a_head_that_can_be_parsed_in_one_way_passes() -> None:
    check_head(GET, b"/x", 1)
    check_head(GET.replace(b"1.1", b"1.0"), b"/x", 1)


def upgrade(*protocols: bytes, connection: bytes = b"Upgrade") -> list[tuple[bytes, bytes]]:
    return [HOST, (b"connection", connection), *((b"upgrade", protocol) for protocol in protocols)]


@pytest.mark.parametrize(
    ("method", "version", "headers", "body", "asked"),
    [
        ("GET", "1.1", [HOST], None, Upgrade.NONE),
        ("GET", "1.0", [], None, Upgrade.NONE),
        ("POST", "1.1", [HOST, LENGTH], 3, Upgrade.NONE),
        ("POST", "1.1", [HOST, (b"x", b"1"), (b"x", b"2"), LENGTH], 3, Upgrade.NONE),
        ("POST", "1.1", [HOST, (b"content-length", b"0")], None, Upgrade.NONE),
        ("POST", "1.1", [HOST, (b"content-length", b"9" * 18)], int("9" * 18), Upgrade.NONE),
        ("POST", "1.1", [HOST, CHUNKED], "chunked", Upgrade.NONE),
        ("POST", "1.1", [HOST, (b"transfer-encoding", b"Chunked")], "chunked", Upgrade.NONE),
        ("POST", "1.1", [*upgrade(), LENGTH], 3, Upgrade.NONE),
        ("GET", "1.1", upgrade(b"websocket"), None, Upgrade.WEBSOCKET),
        ("GET", "1.1", upgrade(b"WebSocket", connection=b"keep-alive, UPGRADE\t"), None, Upgrade.WEBSOCKET),
        ("GET", "1.1", upgrade(b"websocket", connection=b"keep-alive"), None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b"websocket", connection=b"x-upgrade"), None, Upgrade.OTHER),
        ("GET", "1.1", [HOST, (b"upgrade", b"websocket")], None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b"h2c"), None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b""), None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b"websocket/13"), None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b"websocket, h2c"), None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b"h2c", b"websocket"), None, Upgrade.OTHER),
        ("GET", "1.1", upgrade(b"websocket", b"websocket"), None, Upgrade.OTHER),
        ("CONNECT", "1.1", [HOST], None, Upgrade.OTHER),
    ],
)
def test_the_head_alone_decides_what_follows_it(
    method: str, version: str, headers: list[tuple[bytes, bytes]], body: int | str | None, asked: Upgrade
) -> None:
    found, protocol = decide_framing(method, version, headers)
    assert protocol is asked
    match found:
        case LengthBody():
            assert found.remaining == body
        case ChunkedBody():
            assert body == "chunked"
        case None:
            assert body is None


@pytest.mark.parametrize(
    ("method", "version", "headers"),
    [
        ("GET", "1.1", []),
        ("GET", "1.1", [HOST, HOST]),
        ("GET", "1.0", [HOST, HOST]),
        ("POST", "1.1", [HOST, LENGTH, CHUNKED]),
        ("POST", "1.1", [HOST, CHUNKED, LENGTH]),
        ("POST", "1.1", [HOST, LENGTH, LENGTH]),
        ("POST", "1.1", [HOST, CHUNKED, CHUNKED]),
        *(
            ("POST", "1.1", [HOST, (b"transfer-encoding", coding)])
            for coding in (b"identity", b"gzip, chunked", b"chunked, chunked", b"chunked;q=1", b"")
        ),
        ("POST", "1.0", [HOST, CHUNKED]),
        *(
            ("POST", "1.1", [HOST, (b"content-length", length)])
            for length in (b"", b"+3", b"-3", b" 3", b"3, 3", b"0x3", b"3_0", b"\xb3", b"9" * 19)
        ),
        ("POST", "1.1", [*upgrade(b"h2c"), LENGTH]),
        ("GET", "1.1", [*upgrade(b"websocket"), LENGTH]),
        ("GET", "1.1", [*upgrade(b"websocket"), (b"content-length", b"0")]),
        ("GET", "1.1", [*upgrade(b"websocket"), CHUNKED]),
        ("CONNECT", "1.1", [HOST, LENGTH]),
        ("POST", "1.1", upgrade(b"websocket")),
        ("GET", "1.0", upgrade(b"websocket")),
    ],
)
def test_an_ambiguous_head_is_refused(method: str, version: str, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(InvalidRequest):
        decide_framing(method, version, headers)


def test_a_body_of_a_length_takes_no_more_than_that() -> None:
    body, buffer = LengthBody(5), bytearray(b"abc")
    assert (body.take(buffer), body.ended, buffer) == (b"abc", False, b"")
    buffer += b"deGET"
    assert (body.take(buffer), body.ended, buffer) == (b"de", True, b"GET")


def decoded(raw: bytes, *cuts: int) -> tuple[bytes, bool, bytes]:
    """The content of a chunked body that arrives in pieces, whether it ended, and what is left behind it."""
    body, buffer, content = ChunkedBody(), bytearray(), b""
    for start, end in pairwise([0, *cuts, len(raw)]):
        buffer += raw[start:end]
        content += body.take(buffer)
        while body.unfinished:
            content += body.take(buffer)
    return content, body.ended, bytes(buffer)


@pytest.mark.parametrize(
    ("raw", "content"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
        (b"0\r\n\r\n", b""),
        (b"00A \r\n0123456789\r\n000\r\n\r\n", b"0123456789"),
        (b'3;a="b;c"; d\r\nabc\r\n1\t;\xe9\r\nd\r\n0;last\r\n\r\n', b"abcd"),
        (b"3\r\nabc\r\n0\r\nCookie: evil\r\nX:\r\n\r\n", b"abc"),
    ],
)
def test_a_chunked_body_is_decoded_wherever_it_is_cut(raw: bytes, content: bytes) -> None:
    for cut in range(1, len(raw)):
        assert decoded(raw + b"GET", cut) == (content, True, b"GET")
        assert decoded(raw[:-1], cut)[1] is False
    assert decoded(raw, *range(1, len(raw))) == (content, True, b"")


EXTENSION = b"1;" + b"a" * (CHUNK_LINE_LIMIT - 6) + b"\r\nb\r\n"
TRAILER = b"A: " + b"b" * 995 + b"\r\n"


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        *(
            (raw, InvalidRequest)
            for raw in (
                b"0x3\r\nabc\r\n",
                b"1_0\r\nabc\r\n",
                b"+3\r\nabc\r\n",
                b" 3\r\nabc\r\n",
                b"00000000000000003\r\nabc\r\n",
                b";a\r\nabc\r\n",
                b"\r\n",
                b"3\r\nabcX0\r\n\r\n",
                b"3\r\nabc\rX0\r\n",
                b"3\nabc\r\n",
                b"3;a\nabc\r\n",
                b"3;a\rb\r\nabc\r\n",
                b"3;a\x00\r\nabc\r\n",
                b"0\r\nA: b\n\r\n",
                b"0\r\nA: b\r\n c\r\n\r\n",
                b"0\r\nA\r\n\r\n",
                b"0\r\nA b: c\r\n\r\n",
                b"0\r\nA: \x00\r\n\r\n",
                b"0\n\n",
                b"0" * CHUNK_LINE_LIMIT,
                b"3;" + b"a" * CHUNK_LINE_LIMIT,
                EXTENSION * (EXTENSIONS_LIMIT // (CHUNK_LINE_LIMIT - 5) + 1),
            )
        ),
        (b"0\r\nA: " + b"b" * TRAILERS_LIMIT, HeadersTooLarge),
        (b"0\r\n" + TRAILER * (TRAILERS_LIMIT // 1000 + 1), HeadersTooLarge),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_chunks_extensions_and_trailers_are_checked_and_bounded(raw: bytes, error: type[BffError]) -> None:
    for cuts in ((), range(1, len(raw), 100)):
        with pytest.raises(error):
            decoded(raw, *cuts)


def test_extensions_and_trailers_within_their_bounds_pass() -> None:
    most = EXTENSIONS_LIMIT // (CHUNK_LINE_LIMIT - 5)
    assert decoded(EXTENSION * most + b"0\r\n" + TRAILER * (TRAILERS_LIMIT // 1000) + b"\r\n")[:2] == (
        b"b" * most,
        True,
    )


def test_at_most_so_many_chunks_are_parsed_at_once() -> None:
    body, buffer = ChunkedBody(), bytearray(b"1\r\nx\r\n" * (CHUNKS_AT_ONCE + 1) + b"0\r\n\r\n")
    assert body.take(buffer) == b"x" * CHUNKS_AT_ONCE
    assert (body.unfinished, buffer) == (True, b"1\r\nx\r\n0\r\n\r\n")
    assert body.take(buffer) == b"x"
    assert (body.ended, body.unfinished, buffer) == (True, False, b"")
