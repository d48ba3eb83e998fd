"""What follows a head on its connection is decided by the head, and by nobody else: on real sockets, in any pieces."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from bff.errors import InvalidRequest
from bff.server.request_framing import CHUNKS_AT_ONCE, ChunkedBody, check_head
from tests.harness.upstream_wire import (
    OURS,
    PATIENCE,
    PUBLIC,
    RawUpstream,
    bff_beside,
    ok,
    raw_upstream,
    read_answer,
    route,
)
from tests.unit.proxy.test_websocket import socket_upstream, to

USER = f"Host: app.example\r\n{OURS}Cookie: user=alice\r\n"
HIDDEN = f"DELETE /api/hidden HTTP/1.1\r\n{USER}\r\n"
NEXT = f"GET /api/next HTTP/1.1\r\n{USER}\r\n"


@asynccontextmanager
async def world() -> AsyncIterator[tuple[int, RawUpstream]]:
    async with raw_upstream(ok()) as upstream, bff_beside(route(upstream)) as port:
        yield port, upstream


async def exchange(port: int, *pieces: str | bytes, until_closed: bool = True) -> bytes:
    """Sends the pieces, each as a segment of its own, and reads what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = asyncio.create_task(reader.read())
    try:
        for piece in pieces:
            if writer.is_closing():
                break
            writer.write(piece.encode("latin-1") if isinstance(piece, str) else piece)
            await asyncio.sleep(0.02)  # so that it most likely is a segment of its own; no result depends on it
        async with asyncio.timeout(PATIENCE):
            return await received
    finally:
        received.cancel()
        writer.close()


def statuses(received: bytes) -> list[int]:
    return [int(line.split()[1]) for line in received.split(b"\n") if line.startswith(b"HTTP/1.1 ")]


def request(method: str, *fields: str, version: str = "HTTP/1.1") -> str:
    return "\r\n".join([f"{method} /api/x {version}", USER.removesuffix("\r\n"), *fields, "", ""])


WITH_LENGTH = f"Content-Length: {len(HIDDEN)}"


@pytest.mark.parametrize("connection", ["Upgrade", "upgrade, HTTP2-Settings", "keep-alive", "close", None])
@pytest.mark.parametrize("framing", [WITH_LENGTH, "Transfer-Encoding: chunked", "Content-Length: 0"])
@pytest.mark.parametrize("protocol", ["h2c", "websocket", "websocket, h2c", ""])
async def test_an_upgrade_that_states_a_length_is_refused_and_the_rest_ignored(
    protocol: str, framing: str, connection: str | None
) -> None:
    fields = [f"Upgrade: {protocol}", framing, *([f"Connection: {connection}"] if connection else [])]
    async with world() as (port, upstream):
        received = await exchange(port, request("POST", *fields), HIDDEN, NEXT)
    assert statuses(received) == [400]
    assert b"application/problem+json" in received
    assert b"\r\nconnection: close\r\n" in received
    assert upstream.heard == []


@pytest.mark.parametrize("pieces", [1, 2], ids=["in one segment", "in a later one"])
@pytest.mark.parametrize("protocol", ["h2c", "foo", "websocket, h2c", "h2c, websocket", "", "websocket/13"])
@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, UPGRADE", "keep-alive"])
async def test_any_other_upgrade_is_answered_plainly_and_nothing_is_read_behind_it(
    connection: str, protocol: str, pieces: int
) -> None:
    head = request("GET", f"Connection: {connection}", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABk")
    async with world() as (port, upstream):
        received = await exchange(port, *([head, HIDDEN + NEXT] if pieces == 2 else [head + HIDDEN + NEXT]))
    assert statuses(received) == [200]
    assert b"\r\nconnection: close\r\n" in received
    assert [heard.target for heard in upstream.heard] == ["/api/x"]
    assert upstream.heard[0].all("upgrade") == []


async def test_several_upgrade_fields_are_no_websocket() -> None:
    head = request("GET", "Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    async with world() as (port, upstream):
        assert statuses(await exchange(port, head, HIDDEN)) == [200]
    assert [heard.target for heard in upstream.heard] == ["/api/x"]


async def test_connection_upgrade_alone_changes_nothing() -> None:
    """What many a proxy's configuration sends with every request."""
    head = request("POST", "Connection: upgrade", "Content-Length: 3")
    async with world() as (port, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in (head, "ab", "c" + NEXT):
            writer.write(piece.encode())
            await asyncio.sleep(0.02)
        assert [(await asyncio.wait_for(read_answer(reader), PATIENCE)).status for _ in range(2)] == [200, 200]
        writer.close()
    assert [(heard.target, heard.body) for heard in upstream.heard] == [("/api/x", b"abc"), ("/api/next", b"")]


CHUNKED = "Transfer-Encoding: chunked"
REFUSED: dict[str, str] = {
    "connect with a body": f"CONNECT evil.test:443 HTTP/1.1\r\n{USER}Content-Length: 3\r\n\r\nabc",
    "http/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": "GET /api/x HTTP/1.1\r\nX-CSRF: 1\r\nCookie: user=alice\r\n\r\n",
    "two hosts": request("GET", "Host: app.example"),
    "post websocket": request("POST", "Connection: Upgrade", "Upgrade: websocket"),
    "websocket 1.0": request("GET", "Connection: Upgrade", "Upgrade: websocket", version="HTTP/1.0"),
    "length and chunked": request("POST", "Content-Length: 3", CHUNKED) + "3\r\nabc\r\n0\r\n\r\n",
    "chunked and length": request("POST", CHUNKED, "Content-Length: 3") + "3\r\nabc\r\n0\r\n\r\n",
    "chunked twice": request("POST", CHUNKED, CHUNKED) + "3\r\nabc\r\n0\r\n\r\n",
    "chunked, chunked": request("POST", "Transfer-Encoding: chunked, chunked") + "3\r\nabc\r\n0\r\n\r\n",
    "identity": request("POST", "Transfer-Encoding: identity", "Content-Length: 3") + "abc",
    "chunked in 1.0": request("POST", CHUNKED, version="HTTP/1.0") + "3\r\nabc\r\n0\r\n\r\n",
    "two lengths": request("POST", "Content-Length: 3", "Content-Length: 3") + "abc",
    "folded": request("GET", "X-A: b\r\n Content-Length: 3"),
    "bare lf in the head": f"GET /api/x HTTP/1.1\r\n{USER}X-A: b\nX-B: c\r\n\r\n",
    "bare lf at the end": f"GET /api/x HTTP/1.1\r\n{USER}\n",
    "bare cr in the head": f"GET /api/x HTTP/1.1\r\n{USER}X-A: b\rX-B: c\r\n\r\n",
    "lf alone": "GET /api/x HTTP/1.1\nHost: a\n\n",
    "space in the target": f"GET /api/x y HTTP/1.1\r\n{USER}\r\n",
    "two spaces": f"GET  /api/x HTTP/1.1\r\n{USER}\r\n",
    "fragment": f"GET /api/x#y HTTP/1.1\r\n{USER}\r\n",
    "fragment in the query": f"GET /api/x?a=b#y HTTP/1.1\r\n{USER}\r\n",
    "fragment of a websocket": request("GET", "Connection: Upgrade", "Upgrade: websocket").replace("/x", "/x#y"),
    "rtsp": f"DESCRIBE /api/x RTSP/1.0\r\n{USER}\r\n",
    "tls": "\x16\x03\x01\x02\x00\x01\x00",
    "chunk size": request("POST", CHUNKED) + "0x3\r\nabc\r\n0\r\n\r\n",
    "chunk size with a sign": request("POST", CHUNKED) + "+3\r\nabc\r\n0\r\n\r\n",
    "chunk size of 17 digits": request("POST", CHUNKED) + "00000000000000003\r\nabc\r\n0\r\n\r\n",
    "no chunk size": request("POST", CHUNKED) + ";a\r\nabc\r\n0\r\n\r\n",
    "chunk without an end": request("POST", CHUNKED) + "3\r\nabcX0\r\n\r\n",
    "chunk with lf": request("POST", CHUNKED) + "3\nabc\r\n0\r\n\r\n",
    "extension with lf": request("POST", CHUNKED) + "3;a\nabc\r\n0\r\n\r\n",
    "extension with cr": request("POST", CHUNKED) + "3;a\rb\r\nabc\r\n0\r\n\r\n",
    "trailer with lf": request("POST", CHUNKED) + "3\r\nabc\r\n0\r\nA: b\n\r\n",
    "trailer that is folded": request("POST", CHUNKED) + "3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
    "trailer without a colon": request("POST", CHUNKED) + "3\r\nabc\r\n0\r\nA\r\n\r\n",
    "last chunk with lf": request("POST", CHUNKED) + "3\r\nabc\r\n0\n\n",
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused_and_the_rest_ignored(name: str) -> None:
    async with world() as (port, upstream):
        received = await exchange(port, REFUSED[name], HIDDEN, NEXT)
    assert statuses(received) == [400]
    assert [heard.target for heard in upstream.heard if heard.target != "/api/x"] == []


@pytest.mark.parametrize("target", ["evil.test:443", "/api/x"])
async def test_nothing_is_read_behind_connect(target: str) -> None:
    async with world() as (port, upstream):
        received = await exchange(port, f"CONNECT {target} HTTP/1.1\r\n{USER}\r\n", HIDDEN, NEXT)
    assert statuses(received) == [405]
    assert upstream.heard == []


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_nothing_is_read_behind_the_last_request_of_a_connection(version: str) -> None:
    head = request("POST", "Connection: close", "Content-Length: 3", version=version)
    async with world() as (port, upstream):
        received = await exchange(port, head + "abc" + HIDDEN, NEXT)
    assert statuses(received) == [200]
    assert [(heard.target, heard.body) for heard in upstream.heard] == [("/api/x", b"abc")]


async def test_a_request_is_not_looked_at_before_the_one_in_front_of_it_is_answered() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        began.set()
        await go_on.wait()
        return await ok()(heard, reader, writer)

    async with raw_upstream(slowly) as upstream, bff_beside(route(upstream)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((NEXT + "no HTTP at all\r\n\r\n").encode())
        await asyncio.wait_for(began.wait(), PATIENCE)  # what follows arrived in the same segment
        go_on.set()
        assert (await asyncio.wait_for(read_answer(reader), PATIENCE)).status == 200
        assert (await asyncio.wait_for(read_answer(reader), PATIENCE)).status == 400
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
    assert len(upstream.heard) == 1


async def test_an_expectation_that_is_refused_ends_the_connection() -> None:
    """The client may send the body all the same, or another request in its place."""
    head = f"POST /api/x HTTP/1.1\r\nHost: app.example\r\nExpect: 100-continue\r\n{WITH_LENGTH}\r\n\r\n"
    async with world() as (port, upstream):
        received = await exchange(port, head, HIDDEN)
    assert statuses(received) == [403]
    assert b"\r\nconnection: close\r\n" in received
    assert upstream.heard == []


async def test_an_expectation_is_met_with_100_and_only_where_a_body_follows() -> None:
    async with world() as (port, upstream):
        head = request("POST", "Expect: 100-continue", "Content-Length: 3", "Connection: close")
        assert statuses(await exchange(port, head, "abc")) == [100, 200]
        assert statuses(await exchange(port, request("GET", "Expect: 100-continue", "Connection: close"))) == [200]
        old = request("POST", "Expect: 100-continue", "Content-Length: 3", version="HTTP/1.0")
        assert statuses(await exchange(port, old, "abc")) == [200]
    assert [heard.body for heard in upstream.heard] == [b"abc", b"", b"abc"]


async def streamed(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await writer.drain()
    writer.write(b"3\r\ndef\r\n0\r\n\r\n")
    return True


async def test_a_streamed_answer_to_http_1_0_ends_with_the_connection() -> None:
    async with raw_upstream(streamed) as upstream, bff_beside(route(upstream)) as port:
        received = await exchange(port, request("GET", version="HTTP/1.0"))
    head, _, body = received.partition(b"\r\n\r\n")
    assert body == b"abcdef"
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head


async def test_one_that_breaks_off_is_no_end_for_http_1_0() -> None:
    async def breaks_off(heard: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        return False

    async with raw_upstream(breaks_off) as upstream, bff_beside(route(upstream)) as port:
        with pytest.raises(ConnectionResetError):
            await exchange(port, request("GET", version="HTTP/1.0"))


# --- bounds


def parts(whole: bytes, size: int) -> Iterable[bytes]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


UPLOAD = request("POST", CHUNKED).encode()
LARGE = {
    "one endless value": (b"GET /api/x HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 500_000, 431),
    "many headers": (b"GET /api/x HTTP/1.1\r\nHost: a\r\n" + b"X-A: a\r\n" * 60_000, 431),
    "an endless name": (b"GET /api/x HTTP/1.1\r\nHost: a\r\n" + b"a" * 500_000, 431),
    "an endless target": (b"GET /api/" + b"a" * 500_000, 414),
    "an endless method": (b"G" * 500_000, 414),
    "empty lines": (b"\r\n" * 150_000, 400),
    "an endless size": (UPLOAD + b"0" * 500_000, 400),
    "an endless extension": (UPLOAD + b"3;" + b"a" * 500_000, 400),
    "extensions without end": (
        UPLOAD + (b"1;" + b"a" * 200 + b"\r\nb\r\n") * 3000,
        400,
    ),
    "an endless trailer": (UPLOAD + b"3\r\nabc\r\n0\r\nA: " + b"a" * 500_000, 431),
    "trailers without end": (UPLOAD + b"3\r\nabc\r\n0\r\n" + b"A: b\r\n" * 80_000, 431),
}


@pytest.mark.parametrize("size", [1000, 200_000])
@pytest.mark.parametrize("name", LARGE)
async def test_heads_trailers_and_extensions_are_bounded(name: str, size: int) -> None:
    raw, status = LARGE[name]
    async with world() as (port, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in parts(raw, size):
            writer.write(piece)
            await asyncio.sleep(0)
        received = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
    assert statuses(received) == [status]
    assert all(heard.body == b"" for heard in upstream.heard)


async def test_trailers_and_extensions_within_their_bounds_are_dropped() -> None:
    body = '3;a="b;c"; d\r\nabc\r\n 0'.replace("\r\n 0", "\r\n0") + ";last\r\nCookie: evil\r\nX-User: root\r\n\r\n"
    async with world() as (port, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((request("POST", CHUNKED) + body + NEXT).encode())
        assert [(await asyncio.wait_for(read_answer(reader), PATIENCE)).status for _ in range(2)] == [200, 200]
        writer.close()
    assert [heard.body for heard in upstream.heard] == [b"abc", b""]
    assert not [value for heard in upstream.heard for _, value in heard.fields if "evil" in value or "root" in value]


# --- WebSockets


async def test_a_handshake_that_the_library_does_not_take_is_answered_and_closed() -> None:
    head = request("GET", "Connection: Upgrade", "Upgrade: websocket", "X-Long: " + "a" * 9000)
    async with world() as (port, _):
        received = await exchange(port, head)
    assert statuses(received) == [400]


async def test_frames_that_come_too_early_wait_for_the_answer() -> None:
    masked = b"\x81\x85\x00\x00\x00\x00early"
    head = request(
        "GET",
        "Connection: Upgrade",
        "Upgrade: websocket",
        f"Origin: {PUBLIC}",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    async with socket_upstream() as url, bff_beside(to(url)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + masked)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert await reader.readexactly(7) == b"\x81\x05early"
        writer.close()


async def test_what_follows_a_handshake_that_is_refused_is_ignored() -> None:
    head = request("GET", "Connection: Upgrade", "Upgrade: websocket").replace("alice", "nobody")
    async with world() as (port, upstream):
        received = await exchange(port, head, HIDDEN, NEXT)
    assert len(statuses(received)) == 1
    assert statuses(received)[0] >= 400
    assert upstream.heard == []


async def test_a_websocket_works() -> None:
    async with socket_upstream() as url, bff_beside(to(url)) as port:
        cookies = {"Cookie": "user=alice"}
        async with connect(
            f"ws://127.0.0.1:{port}/api/x", origin=Origin(PUBLIC), additional_headers=cookies, proxy=None
        ) as page:
            await page.send("x")
            assert await page.recv() == "x"


async def test_an_empty_line_in_front_of_a_request_is_passed_over() -> None:
    async with world() as (port, upstream):
        for piece in ("\r\n" + NEXT, "\r\n\r\n" + NEXT):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((piece + piece).encode())
            assert [(await asyncio.wait_for(read_answer(reader), PATIENCE)).status for _ in range(2)] == [200, 200]
            writer.close()
    assert [heard.target for heard in upstream.heard] == ["/api/next"] * 4


# --- many small chunks


def test_so_many_chunks_are_parsed_at_once() -> None:
    body, buffer = ChunkedBody(), bytearray(b"1\r\nx\r\n" * (CHUNKS_AT_ONCE + 1) + b"0\r\n\r\n")
    assert body.take(buffer) == b"x" * CHUNKS_AT_ONCE
    assert body.unfinished
    assert buffer == b"1\r\nx\r\n0\r\n\r\n"
    assert body.take(buffer) == b"x"
    assert (body.ended, body.unfinished, buffer) == (True, False, b"")


def test_a_body_whose_rest_has_not_come_is_not_unfinished() -> None:
    body, buffer = ChunkedBody(), bytearray(b"1\r\nx\r\n" * CHUNKS_AT_ONCE)
    assert body.take(buffer) == b"x" * CHUNKS_AT_ONCE
    assert (body.ended, body.unfinished, buffer) == (False, False, b"")


async def test_a_body_of_many_small_chunks_arrives_whole_and_the_next_request_after_it() -> None:
    count = 40 * CHUNKS_AT_ONCE + 7
    async with world() as (port, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((request("POST", CHUNKED) + "1\r\nx\r\n" * count + "0\r\n\r\n" + NEXT).encode())
        assert [(await asyncio.wait_for(read_answer(reader), PATIENCE)).status for _ in range(2)] == [200, 200]
        writer.close()
    assert [heard.body for heard in upstream.heard] == [b"x" * count, b""]


async def test_other_connections_have_their_turn_while_one_sends_small_chunks() -> None:
    """Counted in turns of the event loop and not in seconds: each turn parses a bounded number of chunks."""
    count = 200 * CHUNKS_AT_ONCE
    async with world() as (port, upstream):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        most = turns = 0
        take = ChunkedBody.take

        def counted(body: ChunkedBody, buffer: bytearray) -> bytes:
            nonlocal most, turns
            content = take(body, buffer)
            turns, most = turns + 1, max(most, len(content))
            return content

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ChunkedBody, "take", counted)
            writer.write((request("POST", CHUNKED) + "1\r\nx\r\n" * count + "0\r\n\r\n").encode())
            assert (await asyncio.wait_for(read_answer(reader), PATIENCE)).status == 200
        writer.close()
    assert upstream.heard[0].body == b"x" * count
    assert most <= CHUNKS_AT_ONCE + 1  # and one that an earlier segment began
    assert turns >= 200


# --- the head as the parser read it and as we cut it off


@pytest.mark.parametrize(
    ("head", "target", "headers"),
    [
        (b"GET /api/x HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", b"/api/x", 1),
        (b"GET /api/x HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n", b"/api/x", 1),
        (b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n", b"/api/x", 2),
        (b"GET /api/x#y HTTP/1.1\r\nHost: a\r\n\r\n", b"/api/x#y", 1),
        (b"GET /api/\xff HTTP/1.1\r\nHost: a\r\n\r\n", b"/api/\xff", 1),
        (b"GET /api/x y HTTP/1.1\r\nHost: a\r\n\r\n", b"/api/x y", 1),
        (b"GET /api/x HTTP/2.0\r\nHost: a\r\n\r\n", b"/api/x", 1),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(head: bytes, target: bytes, headers: int) -> None:
    with pytest.raises(InvalidRequest):
        check_head(head, target, headers)


def test_a_head_that_can_be_read_in_one_way_passes() -> None:
    check_head(b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n", b"/api/x", 1)
