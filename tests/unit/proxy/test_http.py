"""HTTP through the proxy over real sockets: what arrives, what comes back, and what happens when one side goes."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.proxy_server import User, Users, running_proxy
from tests.harness.raw_http import (
    ALICE,
    Reader,
    Request,
    Writer,
    connected,
    fetch,
    read_chunks,
    read_head,
    read_response,
)
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.routes import a_route
from tests.harness.waiting import PATIENCE, loop_turns

MIB = 1 << 20
# Memory must not depend on the size.
SIZES = pytest.mark.parametrize(
    "size",
    [pytest.param(64 * MIB, id="64-MiB"), pytest.param(1024 * MIB, id="1-GiB", marks=pytest.mark.long)],
)


def resident() -> int:
    """Resident memory of this process in bytes: client, proxy and upstream together."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def code_of(response: object) -> str:
    return str(json.loads(response.body)["code"])  # type: ignore[attr-defined]


@pytest.mark.case("PX-007")
async def test_a_request_reaches_the_upstream_with_the_token_and_without_the_cookie() -> None:
    target = "/api/items?a=1&a=2&b=%00&c=+%2B;d=1"
    async with (
        raw_upstream(ok(b'{"items":[]}', "content-type: application/json")) as upstream,
        running_proxy(route(upstream)) as port,
    ):
        response = await fetch(port, target, "accept: application/json", "prefer: caf\xe9")
    assert (response.status, response.body, response.complete) == (200, b'{"items":[]}', True)
    (request,) = upstream.requests
    assert (request.method, request.target) == ("GET", target)
    assert request.headers == {
        "host": f"127.0.0.1:{upstream.port}",
        "authorization": "Bearer token-of-alice",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "app.example",
        "accept": "application/json",
        "prefer": "caf\xe9",
        "traceparent": request.headers["traceparent"],
    }


@pytest.mark.case("PX-058", "PX-059", "PX-060")
async def test_a_cookie_that_an_upstream_sets_for_one_user_is_never_sent_for_another() -> None:
    setting = ok(
        b"x", "set-cookie: __Host-Http-session=evil", "set-cookie: a=b; Domain=app.example", "Set-Cookie2: c=d"
    )
    users = Users(alice=User("token-of-alice"), bob=User("token-of-bob"))
    names = ["alice", "bob", "alice"]
    async with raw_upstream(setting) as upstream, running_proxy(route(upstream), users=users) as port:
        responses = [await fetch(port, "/api/x", user=user) for user in names]
    tokens = [request.one("authorization") for request in upstream.requests]
    assert tokens == [f"Bearer token-of-{name}" for name in names]
    assert upstream.connections == 1  # the same connection carried them all
    assert all(request.all("cookie") == [] for request in upstream.requests)
    assert all(response.all("set-cookie") == response.all("set-cookie2") == [] for response in responses)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", 200, id="PX-065-shorter-than-announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", 200, id="PX-065-no-end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", 200, id="PX-065-bad-chunk"
        ),
        pytest.param(b"", 502, id="PX-065-nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-le", 502, id="PX-065-half-a-head"),
        pytest.param(b"SSH-2.0-OpenSSH_9\r\n", 502, id="PX-065-not-http"),
    ],
)
async def test_a_response_that_breaks_off_never_looks_complete(raw: bytes, status: int) -> None:
    async with raw_upstream(sends(raw)) as upstream, running_proxy(route(upstream)) as port:
        response = await fetch(port, "/api/x")
    assert (response.status, response.complete) == (status, status == 502)
    if status == 502:
        assert code_of(response) == "upstream_unreachable"


# --- memory


async def standstill(progress: Callable[[], int]) -> int:
    """How far it gets by itself, as long as somebody does not read."""
    held = -1
    while held != (now := progress()):
        held = now
        await loop_turns(200)
    return held


@SIZES
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_upload_streams_in_bounded_memory_at_the_pace_of_the_upstream(chunked: bool, size: int) -> None:
    piece, sent, peak = b"u" * 65536, 0, 0
    may_read = asyncio.Event()

    async def slow(request: Request, reader: Reader, writer: Writer) -> bool:
        nonlocal peak
        await may_read.wait()
        received = 0
        if chunked:
            async for chunk in read_chunks(reader):
                received += len(chunk)
                peak = max(peak, resident())
        else:
            while received < size:
                received += len(await reader.read(65536))
                peak = max(peak, resident())
        body = str(received).encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        return True

    async with raw_upstream(slow, reads_body=False) as upstream, running_proxy(route(upstream)) as port:
        framing = "transfer-encoding: chunked" if chunked else f"content-length: {size}"
        before = resident()
        async with connected(port, f"PUT /api/x HTTP/1.1\r\n{ALICE}{framing}\r\n\r\n") as (reader, writer):

            async def upload() -> None:
                nonlocal sent
                while sent < size:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                    sent += len(piece)
                    await writer.drain()
                writer.write(b"0\r\n\r\n" if chunked else b"")

            async with asyncio.TaskGroup() as group:
                group.create_task(upload())
                assert await standstill(lambda: sent) < size // 2
                peak = resident()
                may_read.set()
            response = await read_response(reader)
    assert response.body == str(size).encode()
    assert upstream.requests[0].one("content-length") == (None if chunked else str(size))
    assert peak - before < 16 * MIB


@SIZES
@pytest.mark.case("PX-069")
async def test_a_large_download_waits_for_a_slow_client_in_bounded_memory(size: int) -> None:
    piece, sent = b"d" * 65536, 0

    async def pour(request: Request, reader: Reader, writer: Writer) -> bool:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        while sent < size:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
        return True

    async with raw_upstream(pour) as upstream, running_proxy(route(upstream)) as port:
        before = resident()
        async with connected(port, f"GET /api/x HTTP/1.1\r\n{ALICE}\r\n") as (reader, _):
            await read_head(reader)
            assert await standstill(lambda: sent) < size // 2
            received, peak = 0, resident()
            while received < size:
                received += len(await reader.read(65536))
                peak = max(peak, resident())
    assert peak - before < 16 * MIB


# --- one side goes, or is silent


@pytest.mark.parametrize("phase", ["before the head", "mid-body", "mid-upload"])
@pytest.mark.case("PX-066")
async def test_a_client_that_hangs_up_ends_the_upstream_request(phase: str) -> None:
    async def hang(request: Request, reader: Reader, writer: Writer) -> bool:
        if phase == "mid-body":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
        while await reader.read(65536):
            pass
        raise asyncio.IncompleteReadError(b"", None)

    framing, body = ("content-length: 1000\r\n", "some") if phase == "mid-upload" else ("", "")
    async with raw_upstream(hang, reads_body=False) as upstream, running_proxy(route(upstream)) as port:
        async with connected(port, f"PUT /api/x HTTP/1.1\r\n{ALICE}{framing}\r\n{body}") as (reader, _):
            await asyncio.wait_for(upstream.arrived.wait(), PATIENCE)
            if phase == "mid-body":
                await read_head(reader)
        await asyncio.wait_for(upstream.hung_up.wait(), PATIENCE)


async def test_an_unreachable_upstream_is_502_and_names_no_internal_address() -> None:
    async with raw_upstream(ok()) as upstream:
        gone = route(upstream)
    async with running_proxy(gone) as port:
        refused = await fetch(port, "/api/x?secret=1")
    assert (refused.status, code_of(refused)) == (502, "upstream_unreachable")
    assert b"127.0.0.1" not in refused.body
    assert b"secret" not in refused.body


async def test_a_connection_that_the_upstream_closes_costs_a_get_nothing_and_a_post_is_never_sent_twice() -> None:
    async def every_second(request: Request, reader: Reader, writer: Writer) -> bool:
        if len(upstream.requests) % 2 == 0:  # the second request on a connection is not answered
            return False
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        return True

    async with raw_upstream(every_second) as upstream, running_proxy(route(upstream)) as port:
        statuses = [(await fetch(port, "/api/x", method=method)).status for method in ("GET", "GET", "POST")]
    assert statuses == [200, 200, 502]
    assert [request.method for request in upstream.requests] == ["GET", "GET", "GET", "POST"]


@pytest.mark.case("PX-063", "PX-064")
async def test_a_redirect_is_passed_on_and_never_followed() -> None:
    async def redirect(request: Request, reader: Reader, writer: Writer) -> bool:
        location = {
            "/v1/own": f"{upstream.url}/v1/x",
            "/v1/meta": "http://169.254.169.254/latest/meta-data/",
            "/v1/outside": "/auth/logout",
            "/v1/far": "https://cdn.example/file?sig=1",
        }[request.target]
        writer.write(f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode())
        return True

    async with raw_upstream(redirect) as upstream:
        api = a_route("/api", upstream.url + "/v1", strip_prefix=True, connect_timeout=PATIENCE)
        async with running_proxy(api) as port:
            responses = {path: await fetch(port, f"/api/{path}") for path in ("own", "meta", "outside", "far")}
    assert {path: response.one("location") for path, response in responses.items()} == {
        "own": "/api/x",
        "meta": None,
        "outside": None,
        "far": "https://cdn.example/file?sig=1",
    }
    assert all(response.status == 302 for response in responses.values())
    assert len(upstream.requests) == 4
