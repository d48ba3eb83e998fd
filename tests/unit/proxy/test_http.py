"""HTTP through the proxy over real sockets: what arrives, what comes back, and what happens when somebody dies."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness.routes import a_route
from tests.harness.upstream_wire import (
    OURS,
    PATIENCE,
    Heard,
    TokenOfUser,
    Users,
    ask,
    bff,
    fetch,
    ok,
    raw_upstream,
    read_answer,
    read_chunks,
    read_head,
    route,
    says,
)

MIB = 1 << 20
# What memory is bounded by must not depend on how much there is of it.
SIZES = pytest.mark.parametrize(
    "size",
    [pytest.param(64 * MIB, id="64-MiB"), pytest.param(1024 * MIB, id="1-GiB", marks=pytest.mark.long)],
)


def resident() -> int:
    """Resident memory of this process in bytes: client, product and upstream live in it together."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def closing(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


@pytest.mark.case("PX-007")
async def test_a_request_reaches_the_upstream_with_the_token_and_without_the_cookie() -> None:
    async with raw_upstream(ok(b'{"items":[]}', "content-type: application/json")) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/items?a=1&a=2&b=%00&c=+%2B;d=1", "accept: application/json")
    assert (answer.status, answer.body, answer.complete) == (200, b'{"items":[]}', True)
    heard = upstream.heard[0]
    assert (heard.method, heard.target) == ("GET", "/api/items?a=1&a=2&b=%00&c=+%2B;d=1")
    assert heard.all("authorization") == ["Bearer token-of-alice"]
    assert heard.all("cookie") == heard.all("x-csrf") == heard.all("sec-fetch-site") == []
    assert heard.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert heard.all("x-forwarded-for") == ["127.0.0.1"]
    assert heard.all("x-forwarded-proto") == ["https"]
    assert heard.all("x-forwarded-host") == ["app.example"]
    assert heard.all("accept-encoding") == []


@pytest.mark.parametrize("query", ["", "x='q'&z=\"<>`{}|^[]", "?", "a%2Fb=%2e%2e", "%zz", "a=1&a=2&b=%00&c=+%2B;d=1"])
@pytest.mark.case("PX-039")
async def test_a_query_is_forwarded_byte_for_byte(query: str) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            await fetch(port, f"/api/x?{query}")
    assert upstream.heard[0].target == (f"/api/x?{query}" if query else "/api/x")


async def test_a_header_in_latin_1_passes_in_both_directions() -> None:
    async with raw_upstream(ok(b"x", 'content-disposition: attachment; filename="r\xe9sum\xe9.pdf"')) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x", "prefer: caf\xe9")
    assert upstream.heard[0].all("prefer") == ["caf\xe9"]
    assert answer.one("content-disposition") == 'attachment; filename="r\xe9sum\xe9.pdf"'


FORGED = ("x-user-sub: evil", "X_User_Sub: evil", "x.user.sub: evil", "iv-user: evil", "client-cert: :evil:")
HANDSHAKE = (
    "GET /api/x HTTP/1.1\r\nhost: a\r\norigin: https://app.example\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\ncookie: user=alice\r\n"
)


@pytest.mark.parametrize("token", ["user", "user_or_none", "none"])
async def test_no_browser_says_who_it_is_by_a_header(token: str) -> None:
    """On a WebSocket's handshake as little as on any other request."""
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, token=token, websocket=True, allow_request_headers=("x-team",))) as port:
            await fetch(port, "/api/x", *FORGED, "x-team: mine", "accept: text/plain")
            await ask(port, HANDSHAKE + "\r\n".join([*FORGED, "x-team: mine", "accept: text/plain"]) + "\r\n\r\n")
    assert len(upstream.heard) == 2
    for heard in upstream.heard:
        assert "evil" not in str(heard.fields)
        assert (heard.all("x-team"), heard.all("accept")) == (["mine"], ["text/plain"])


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("connection: close, Authorization, Cookie, X-Forwarded-For", id="PX-001"),
        pytest.param("connection: x-real-ip, X-FORWARDED-PROTO, host", id="PX-002"),
        pytest.param("connection: x-csrf", id="PX-003"),
    ],
)
async def test_a_connection_header_takes_nothing_of_ours_away(sent: str) -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x", sent)
    assert answer.status == 200
    heard = upstream.heard[0]
    assert heard.all("authorization") == ["Bearer token-of-alice"]
    assert heard.all("x-forwarded-for") == ["127.0.0.1"]
    assert heard.all("x-forwarded-proto") == ["https"]
    assert heard.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert heard.all("connection") == []


@pytest.mark.case("PX-058", "PX-059", "PX-060")
async def test_a_cookie_that_an_upstream_sets_for_one_user_never_travels_with_another() -> None:
    setting = ok(
        b"x", "set-cookie: __Host-Http-session=evil", "set-cookie: a=b; Domain=app.example", "Set-Cookie2: c=d"
    )
    users = Users(alice=TokenOfUser("token-of-alice"), bob=TokenOfUser("token-of-bob"))
    async with raw_upstream(setting) as upstream:
        with bff(route(upstream), users=users) as port:
            answers = [await fetch(port, "/api/x", user=user) for user in ("alice", "bob", "alice")]
    assert [heard.all("authorization") for heard in upstream.heard] == [
        ["Bearer token-of-alice"],
        ["Bearer token-of-bob"],
        ["Bearer token-of-alice"],
    ]
    assert upstream.connections == 1  # the same connection carried them all
    assert all(heard.all("cookie") == [] for heard in upstream.heard)
    assert all(answer.all("set-cookie") == answer.all("set-cookie2") == [] for answer in answers)


@pytest.mark.parametrize(
    ("raw", "begins"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", True, id="PX-065-shorter-than-announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", True, id="PX-065-no-end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", True, id="PX-065-bad-chunk"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            False,
            id="PX-065-two-framings",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", False, id="PX-065-two-lengths"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nabc", False, id="PX-065-unasked-coding"),
        pytest.param(b"", False, id="PX-065-nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", False, id="PX-065-half-a-head"),
        pytest.param(b"SSH-2.0-OpenSSH_9\r\n", False, id="PX-065-not-http"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", False, id="PX-065-upgrade"
        ),
    ],
)
async def test_an_answer_that_breaks_off_never_looks_whole(raw: bytes, begins: bool) -> None:
    async with raw_upstream(says(raw)) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x")
    if begins:
        assert (answer.status, answer.complete) == (200, False)
    else:
        assert (answer.status, answer.complete) == (502, True)
        assert json.loads(answer.body)["code"] == "upstream_unreachable"


@pytest.mark.parametrize(
    "more", [b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison", b"HTTP/1.1 204 No\r\n\r\n", b"x"]
)
@pytest.mark.case("PX-065")
async def test_what_follows_a_whole_answer_reaches_nobody_longer_than_announced(more: bytes) -> None:
    async with raw_upstream(
        says(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc" + more, then_close=False)
    ) as upstream:
        with bff(route(upstream)) as port:
            answers = [await fetch(port, "/api/x") for _ in range(3)]
    assert [(answer.status, answer.body, answer.complete) for answer in answers] == [(200, b"abc", True)] * 3
    assert upstream.connections == 3


@pytest.mark.case("PX-066")
async def test_an_answer_that_nobody_asked_for_closes_the_resting_connection() -> None:
    first_was_read = asyncio.Event()

    async def twice(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc")
        await first_was_read.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
        return True

    async with raw_upstream(twice) as upstream:
        with bff(route(upstream)) as port:
            answers = [await fetch(port, "/api/x")]
            first_was_read.set()
            await asyncio.wait_for(upstream.hung_up.wait(), PATIENCE)
            answers.append(await fetch(port, "/api/x"))
    assert [answer.body for answer in answers] == [b"abc"] * 2
    assert upstream.connections == 2


async def test_an_answer_of_an_old_server_ends_with_its_connection() -> None:
    async with raw_upstream(says(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x")
    assert (answer.status, answer.body, answer.complete) == (200, b"all of it", True)


@pytest.mark.parametrize(
    ("method", "raw", "status"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n", 200),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        ("GET", b"HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 1234\r\n\r\n", 304),
        ("GET", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204),
    ],
)
async def test_an_answer_without_a_body_has_none(method: str, raw: bytes, status: int) -> None:
    async with raw_upstream(says(raw, then_close=False)) as upstream:
        with bff(route(upstream)) as port:
            answers = [await fetch(port, "/api/x", method=method) for _ in range(2)]
    assert [answer.status for answer in answers] == [status] * 2
    assert answers[0].one("content-length") == ("1234" if method == "HEAD" else None)


async def test_server_sent_events_arrive_one_by_one() -> None:
    seen = asyncio.Queue[str]()

    async def events(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(3):
            event = f"data: {number}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            assert await seen.get() == event.decode()  # the next one is sent when the client has seen this one
        writer.write(b"0\r\n\r\n")
        return True

    async with raw_upstream(events) as upstream:
        with bff(route(upstream)) as port:
            async with closing(port) as (reader, writer):
                writer.write(f"GET /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\n\r\n".encode())
                await read_head(reader)
                async with asyncio.timeout(PATIENCE):
                    async for chunk in read_chunks(reader):
                        seen.put_nowait(chunk.decode())


@SIZES
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_upload_streams_in_bounded_memory(chunked: bool, size: int) -> None:
    piece, peak = b"u" * 65536, 0

    async def swallow(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        nonlocal peak
        received = 0
        if chunked:
            async for chunk in read_chunks(reader):
                received += len(chunk)
                peak = max(peak, resident())
        else:
            assert heard.all("content-length") == [str(size)]
            while received < size:
                received += len(await reader.read(65536))
                peak = max(peak, resident())
        body = str(received).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return True

    async with raw_upstream(swallow, reads_body=False) as upstream:
        with bff(route(upstream)) as port:
            async with closing(port) as (reader, writer):
                before = resident()
                framing = "transfer-encoding: chunked" if chunked else f"content-length: {size}"
                writer.write(
                    f"PUT /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\n{framing}\r\n\r\n".encode()
                )
                for _ in range(size // len(piece)):
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    await writer.drain()
                if chunked:
                    writer.write(b"0\r\n\r\n")
                answer = await asyncio.wait_for(read_answer(reader), 120)
    assert answer.body == str(size).encode()
    assert peak - before < 16 * MIB


@SIZES
async def test_a_large_upload_waits_for_a_slow_upstream_in_bounded_memory(size: int) -> None:
    piece, sent = b"u" * 65536, 0
    may_read = asyncio.Event()

    async def slow(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await may_read.wait()
        received = 0
        while received < size:
            received += len(await reader.read(65536))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        return True

    async with raw_upstream(slow, reads_body=False) as upstream:
        with bff(route(upstream)) as port:
            async with closing(port) as (reader, writer):

                async def upload() -> None:
                    nonlocal sent
                    while sent < size:
                        writer.write(piece)
                        sent += len(piece)
                        await writer.drain()

                before = resident()
                head = f"PUT /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\ncontent-length: {size}\r\n\r\n"
                writer.write(head.encode())
                async with asyncio.TaskGroup() as group:
                    group.create_task(upload())
                    held = -1
                    while held != sent:  # nobody reads: the client comes to a standstill by itself
                        held = sent
                        await asyncio.sleep(0.2)
                    grown = resident() - before
                    may_read.set()
                answer = await asyncio.wait_for(read_answer(reader), 120)
    assert held < size // 2
    assert grown < 16 * MIB
    assert answer.status == 204


@SIZES
@pytest.mark.case("PX-069")
async def test_a_large_download_waits_for_a_slow_client_in_bounded_memory(size: int) -> None:
    piece, sent = b"d" * 65536, 0

    async def pour(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
        return True

    async with raw_upstream(pour) as upstream:
        with bff(route(upstream)) as port:
            async with closing(port) as (reader, writer):
                before = resident()
                writer.write(f"GET /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\n\r\n".encode())
                await read_head(reader)
                held = -1
                while held != sent:  # nobody reads: the upstream comes to a standstill by itself
                    held = sent
                    await asyncio.sleep(0.2)
                assert held < size // 2
                received, peak = 0, resident()
                while received < size:
                    received += len(await reader.read(65536))
                    peak = max(peak, resident())
    assert peak - before < 16 * MIB


@pytest.mark.parametrize("phase", ["before the head", "mid-body", "mid-upload"])
@pytest.mark.case("PX-066")
async def test_a_client_that_hangs_up_ends_the_upstream_request(phase: str) -> None:
    asked = asyncio.Event()

    async def hang(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if phase == "mid-body":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        asked.set()
        while await reader.read(65536):
            pass
        raise asyncio.IncompleteReadError(b"", None)

    async with raw_upstream(hang, reads_body=False) as upstream:
        with bff(route(upstream)) as port:
            async with closing(port) as (reader, writer):
                head = f"PUT /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\n"
                if phase == "mid-upload":
                    head += "content-length: 1000\r\n"
                writer.write(head.encode() + b"\r\n" + (b"some" if phase == "mid-upload" else b""))
                await asyncio.wait_for(asked.wait(), PATIENCE)
                if phase == "mid-body":
                    await read_head(reader)
            await asyncio.wait_for(upstream.hung_up.wait(), PATIENCE)
            # And the product serves on.
            assert (await fetch(port, "/api/y", "connection: close", method="TRACE")).status == 405


async def test_an_upstream_that_answers_before_the_upload_is_over_is_heard() -> None:
    async def too_large(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 2\r\n\r\nno")
        return True

    async with raw_upstream(too_large, reads_body=False) as upstream:
        with bff(route(upstream)) as port:
            async with closing(port) as (reader, writer):
                head = f"PUT /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\ncontent-length: 1000\r\n\r\n"
                writer.write(head.encode() + b"some")
                answer = await asyncio.wait_for(read_answer(reader), PATIENCE)
    assert (answer.status, answer.body) == (413, b"no")


async def test_a_body_over_the_limit_is_refused_announced_or_not() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream, request_limit=10)) as port:
            announced = await fetch(port, "/api/x", method="POST", body=b"12345678901")
            head = f"POST /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\ntransfer-encoding: chunked\r\n\r\n"
            unannounced = await ask(port, head + "6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n")
            within = await fetch(port, "/api/x", method="POST", body=b"1234567890")
    assert (announced.status, unannounced.status, within.status) == (413, 413, 200)
    assert [heard.body for heard in upstream.heard] == [b"1234567890"]


async def test_a_post_without_a_body_says_so_and_a_get_says_nothing() -> None:
    async with raw_upstream(ok()) as upstream:
        with bff(route(upstream)) as port:
            for method in ("POST", "GET", "DELETE"):
                await fetch(port, "/api/x", method=method)
            await fetch(port, "/api/x", method="DELETE", body=b"abc")
    assert [heard.all("content-length") for heard in upstream.heard] == [["0"], [], [], ["3"]]


async def test_an_upstream_that_nobody_runs_is_502_and_one_that_says_nothing_is_504() -> None:
    async def silent(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        return not await reader.read(1)

    async with raw_upstream(silent) as upstream:
        nobody = a_route("/nobody", "http://127.0.0.1:1", connect_timeout=PATIENCE)
        with bff(route(upstream, timeout=0.2), nobody) as port:
            refused = await fetch(port, "/nobody/x?secret=1")
            late = await fetch(port, "/api/x")
    assert (refused.status, json.loads(refused.body)["code"]) == (502, "upstream_unreachable")
    assert b"127.0.0.1" not in refused.body
    assert b"secret" not in refused.body
    assert (late.status, json.loads(late.body)["code"]) == (504, "upstream_timeout")


async def test_an_upstream_that_falls_silent_mid_answer_ends_the_clients_connection() -> None:
    async def stall(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nabc")  # no length: only the connection's end would end it
        return not await reader.read(1)

    async with raw_upstream(stall) as upstream:
        with bff(route(upstream, read_timeout=0.2)) as port:
            answer = await fetch(port, "/api/x")
    assert (answer.status, answer.body, answer.complete) == (200, b"abc", False)


async def test_a_connection_that_the_upstream_closed_meanwhile_costs_a_get_nothing_and_a_post_is_never_sent_twice() -> (
    None
):
    dropped = 0

    async def once_then_drop(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        nonlocal dropped
        if len(upstream.heard) in (2, 4, 6):  # the second request on a connection dies unanswered
            dropped += 1
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        return True

    async with raw_upstream(once_then_drop) as upstream:
        with bff(route(upstream)) as port:
            statuses = [(await fetch(port, "/api/x", method=method)).status for method in ("GET", "GET", "POST")]
    assert statuses == [200, 200, 502]
    assert [heard.method for heard in upstream.heard] == ["GET", "GET", "GET", "POST"]
    assert dropped == 2


@pytest.mark.case("PX-063", "PX-064")
async def test_a_redirect_is_passed_on_and_never_followed() -> None:
    async def redirect(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        where = {
            "/v1/own": f"http://127.0.0.1:{upstream.port}/v1/x",
            "/v1/meta": "http://169.254.169.254/latest/meta-data/",
            "/v1/outside": "/auth/logout",
            "/v1/far": "https://cdn.example/file?sig=1",
        }[heard.target]
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {where}\r\ncontent-length: 0\r\n\r\n".encode())
        return True

    async with raw_upstream(redirect) as upstream:
        to = a_route("/api", upstream.url + "/v1", strip_prefix=True, connect_timeout=PATIENCE)
        with bff(to) as port:
            answers = {path: await fetch(port, f"/api/{path}") for path in ("own", "meta", "outside", "far")}
    assert {path: answer.one("location") for path, answer in answers.items()} == {
        "own": "/api/x",
        "meta": None,
        "outside": None,
        "far": "https://cdn.example/file?sig=1",
    }
    assert all(answer.status == 302 for answer in answers.values())
    assert len(upstream.heard) == 4


async def test_a_compressed_answer_passes_as_it_is() -> None:
    async with raw_upstream(ok(b"\x1f\x8bnot really", "content-encoding: gzip")) as upstream:
        with bff(route(upstream)) as port:
            answer = await fetch(port, "/api/x", "accept-encoding: br;q=1, gzip")
    assert answer.body == b"\x1f\x8bnot really"
    assert upstream.heard[0].all("accept-encoding") == ["br;q=1, gzip"]
