"""An upstream that pours bytes where there should be few: heads, 1xx responses, trailers, chunk extensions."""

import asyncio
import json
from collections.abc import Iterator
from itertools import repeat

import pytest

from bff.proxy.response_parser import CHUNK_OVERHEAD_LIMIT, HEAD_LIMIT, INFORMATIONAL_LIMIT
from tests.harness.upstream_wire import OURS, PATIENCE, Heard, bff_beside, fetch, raw_upstream, route, says

MIB = 1 << 20
POURED_AT_MOST = 512 * MIB
# What the sockets between the two may hold, and one read of the event loop's, besides what is really taken.
IN_BETWEEN = 32 * MIB

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"
MUCH = b"a" * 65536


class Pouring:
    """Sends `begin`, then pieces, until the other end hangs up or far too much was taken."""

    def __init__(self, begin: bytes, pieces: Iterator[bytes]) -> None:
        self.begin, self.pieces, self.poured = begin, pieces, 0

    async def __call__(self, heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(self.begin)
        for piece in self.pieces:
            writer.write(piece)
            self.poured += len(piece)
            if self.poured >= POURED_AT_MOST:
                break
            await writer.drain()
        return False


def numbered(line: bytes) -> Iterator[bytes]:
    """Ever new names, about 64 KiB of them at a time."""
    number = 0
    while True:
        count = 65536 // len(line)
        yield b"".join([line % (number + offset) for offset in range(count)])
        number += count


@pytest.mark.parametrize(
    ("begin", "pieces"),
    [
        pytest.param(OK + b"x: ", lambda: repeat(MUCH), id="one-value"),
        pytest.param(OK, lambda: repeat(MUCH), id="one-name"),
        pytest.param(OK, lambda: numbered(b"x-%09d: y\r\n"), id="headers"),
        pytest.param(b"HTTP/1.1 200 ", lambda: repeat(MUCH), id="reason"),
        pytest.param(b"", lambda: repeat(b"\r\n" * 32768), id="empty-lines"),
        pytest.param(b"", lambda: repeat(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"), id="1xx"),
        pytest.param(b"", lambda: repeat(b"HTTP/1.1 100 Continue\r\nx: " + MUCH + b"\r\n\r\n"), id="large-1xx"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nx: ", lambda: repeat(MUCH), id="value-of-a-1xx"),
    ],
)
async def test_a_head_without_end_is_given_up(begin: bytes, pieces: object) -> None:
    pouring = Pouring(begin, pieces())  # type: ignore[operator]
    async with raw_upstream(pouring) as upstream:
        async with bff_beside(route(upstream, timeout=PATIENCE)) as port:
            answer = await fetch(port, "/api/x")
        await asyncio.wait_for(upstream.hung_up.wait(), PATIENCE)
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_unreachable")
    assert pouring.poured <= IN_BETWEEN


@pytest.mark.parametrize(
    ("begin", "pieces"),
    [
        pytest.param(CHUNKED + b"0\r\nx: ", lambda: repeat(MUCH), id="value-of-a-trailer"),
        pytest.param(CHUNKED + b"0\r\n", lambda: numbered(b"x-%09d: y\r\n"), id="trailers"),
        pytest.param(CHUNKED + b"1;", lambda: repeat(MUCH), id="chunk-extension"),
        pytest.param(CHUNKED, lambda: repeat(b"1;" + MUCH + b"\r\nx\r\n"), id="chunk-extensions"),
        pytest.param(CHUNKED, lambda: repeat(b"0" * 65536), id="chunk-size"),
    ],
)
async def test_an_answer_with_framing_without_end_is_cut_off(begin: bytes, pieces: object) -> None:
    pouring = Pouring(begin, pieces())  # type: ignore[operator]
    async with raw_upstream(pouring) as upstream:
        async with bff_beside(route(upstream, read_timeout=PATIENCE)) as port:
            answer = await fetch(port, "/api/x")
        await asyncio.wait_for(upstream.hung_up.wait(), PATIENCE)
    assert (answer.status, answer.complete) == (200, False)
    assert answer.body.startswith(b"hello")
    assert pouring.poured <= IN_BETWEEN


async def test_trailers_are_no_headers() -> None:
    trailers = b"location: https://evil.example/\r\ncache-control: public\r\nx-more: y\r\n"
    says_so = says(CHUNKED + b"0\r\n" + trailers + b"\r\n", then_close=False)
    async with raw_upstream(says_so) as upstream, bff_beside(route(upstream)) as port:
        answers = [await fetch(port, "/api/x") for _ in range(2)]
    for answer in answers:
        assert (answer.status, answer.body, answer.complete) == (200, b"hello", True)
        assert answer.all("location") == answer.all("x-more") == []
        assert answer.one("cache-control") == "no-store"
    assert upstream.connections == 1  # dropped, and no reason to give a connection up


async def test_small_chunks_with_short_extensions_are_nothing_unusual() -> None:
    count = 4 * CHUNK_OVERHEAD_LIMIT
    body = b"1;a=b\r\nx\r\n" * count
    answer_of_chunks = OK + b"transfer-encoding: chunked\r\n\r\n" + body + b"0\r\nserver-timing: db;dur=53\r\n\r\n"
    async with raw_upstream(says(answer_of_chunks)) as upstream, bff_beside(route(upstream)) as port:
        answer = await fetch(port, "/api/x")
    assert (answer.status, answer.body, answer.complete) == (200, b"x" * count, True)


async def test_large_heads_and_some_1xx_responses_pass() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * INFORMATIONAL_LIMIT
    large = b"x" * (HEAD_LIMIT - len(early) - 200)
    says_so = says(early + OK + b"x-large: " + large + b"\r\ncontent-length: 2\r\n\r\nok")
    async with raw_upstream(says_so) as upstream, bff_beside(route(upstream)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4 * HEAD_LIMIT)
        writer.write(f"GET /api/x HTTP/1.1\r\nhost: app.example\r\n{OURS}cookie: user=alice\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        writer.close()
    assert head.startswith(OK)
    assert large in head


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"HTTP/1.1 103 Early Hints\r\ncontent-length: 5\r\n\r\nhello", id="length"),
        pytest.param(b"HTTP/1.1 100 Continue\r\ncontent-length: 5\r\n\r\nhello", id="length-100"),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", id="chunks"
        ),
    ],
)
async def test_a_1xx_response_with_a_body_is_refused(head: bytes) -> None:
    says_so = says(head + OK + b"content-length: 2\r\n\r\nok")
    async with raw_upstream(says_so) as upstream, bff_beside(route(upstream)) as port:
        answer = await fetch(port, "/api/x")
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_unreachable")
