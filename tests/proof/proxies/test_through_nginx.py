"""What must survive a proxy in front of us: broken responses, streams, WebSockets and how they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from bff.session.session import EndReason
from bff.session.stream_end import SessionEnded
from tests.harness.nginx import nginx
from tests.harness.proxy_server import User, Users, bff_beside
from tests.harness.raw_http import (
    ALICE,
    HttpServer,
    Reader,
    Request,
    Respond,
    Writer,
    connected,
    fetch,
    read_chunks,
    read_head,
)
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.waiting import PATIENCE
from tests.harness.websocket_peers import browser, closing_of, socket_upstream, to

pytestmark = pytest.mark.asyncio(loop_scope="module")

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@dataclass
class Front:
    port: int
    upstream: HttpServer
    alice: User
    respond: Respond


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """One nginx for all tests; each sets `respond`."""

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        return await running.respond(request, reader, writer)

    alice = User("token-of-alice")
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(raw_upstream(respond))
        sockets = to(await stack.enter_async_context(socket_upstream()), prefix="/socket")
        behind = await stack.enter_async_context(bff_beside(route(upstream), sockets, users=Users(alice=alice)))
        port = await stack.enter_async_context(nginx(tmp_path_factory.mktemp("nginx"), behind))
        running = Front(port, upstream, alice, ok())
        yield running


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(OK + b"content-length: 10\r\n\r\nabc", id="PX-065-shorter-than-announced"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", id="PX-065-no-end"),
        pytest.param(CHUNKED + b"5\r\nhello\r\nzz\r\n", id="PX-065-bad-chunk"),
    ],
)
async def test_a_response_that_breaks_off_does_not_look_complete(raw: bytes, front: Front) -> None:
    front.respond = sends(raw)
    response = await fetch(front.port, "/api/x")
    assert (response.status, response.complete) == (200, False)


async def test_events_arrive_one_by_one_and_break_off_when_the_session_ends(front: Front) -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def events(request: Request, reader: Reader, writer: Writer) -> bool:
        writer.write(OK + b"content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(1000):
            event = f"data: {number}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            assert await seen.get() == event  # the next one is sent when the client has this one
        return True

    front.respond = events
    async with connected(front.port, f"GET /api/x HTTP/1.1\r\n{ALICE}\r\n") as (reader, _):
        await read_head(reader)
        chunks = read_chunks(reader)
        for _ in range(4):
            seen.put_nowait(await asyncio.wait_for(anext(chunks), PATIENCE))
        await asyncio.wait_for(anext(chunks), PATIENCE)
        front.alice.end_streams(SessionEnded())
        with pytest.raises(asyncio.IncompleteReadError):
            await asyncio.wait_for(anext(chunks), PATIENCE)


async def test_a_websocket_passes_and_so_does_the_reason_of_its_end(front: Front) -> None:
    async with browser(front.port, "/socket/x") as page:
        for message in ("hello", b"\x00\xff" * 100_000):
            await page.send(message)
            assert await page.recv() == message
        await front.alice.has_streams(1)
        front.alice.end_streams(SessionEnded(EndReason.IDLE_TIMEOUT))
        assert await closing_of(page) == (4401, "idle_timeout")


@pytest.mark.case("PX-066")
async def test_a_client_that_hangs_up_ends_the_upstream_request(front: Front) -> None:
    asked = asyncio.Event()

    async def hang(request: Request, reader: Reader, writer: Writer) -> bool:
        asked.set()
        while await reader.read(65536):
            pass
        front.upstream.hung_up.set()
        return False

    front.respond = hang
    front.upstream.hung_up.clear()
    async with connected(front.port, f"GET /api/x HTTP/1.1\r\n{ALICE}\r\n"):
        await asyncio.wait_for(asked.wait(), PATIENCE)
    await asyncio.wait_for(front.upstream.hung_up.wait(), PATIENCE)
