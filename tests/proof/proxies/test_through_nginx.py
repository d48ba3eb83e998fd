"""What must survive a proxy in front of us: broken answers, streams, WebSockets and how they end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bff.config.routes import Route
from bff.session.session import EndReason
from bff.session.stream_end import SessionEnded
from tests.harness.nginx import nginx
from tests.harness.upstream_wire import (
    OURS,
    PATIENCE,
    Heard,
    TokenOfUser,
    Users,
    bff_beside,
    fetch,
    ok,
    raw_upstream,
    read_chunks,
    read_head,
    route,
    says,
)
from tests.unit.proxy.test_websocket import browser, closing_of, socket_upstream, to


@asynccontextmanager
async def fronted(folder: Path, *routes: Route, alice: TokenOfUser | None = None) -> AsyncIterator[int]:
    users = Users(alice=alice or TokenOfUser("token-of-alice"))
    async with bff_beside(*routes, users=users) as port, nginx(folder / "nginx", port) as front:
        yield front


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", id="PX-065-shorter-than-announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", id="PX-065-no-end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", id="PX-065-bad-chunk"
        ),
    ],
)
async def test_an_answer_that_breaks_off_does_not_look_whole(raw: bytes, tmp_path: Path) -> None:
    async with raw_upstream(says(raw)) as upstream, fronted(tmp_path, route(upstream)) as port:
        answer = await fetch(port, "/api/x")
    assert (answer.status, answer.complete) == (200, False)


@pytest.mark.case("PX-058", "PX-059", "PX-083", "PX-092")
async def test_what_an_upstream_may_not_say_is_gone(tmp_path: Path) -> None:
    said = ok(
        b"x",
        "set-cookie: __Host-Http-session=evil",
        "set-cookie: a=b; Domain=app.example",
        "www-authenticate: Basic realm=inside",
        "x-powered-by: inside",
        "via: 1.1 inside",
        "x-accel-redirect: /etc/passwd",
        "access-control-allow-origin: *",
    )
    async with raw_upstream(said) as upstream, fronted(tmp_path, route(upstream)) as port:
        answer = await fetch(port, "/api/x")
    assert (answer.status, answer.body) == (200, b"x")
    names = {name for name, _ in answer.fields}
    assert not names & {"set-cookie", "www-authenticate", "x-powered-by", "via", "access-control-allow-origin"}
    assert answer.one("cache-control") == "no-store"


async def test_events_arrive_one_by_one_and_break_off_when_the_session_ends(tmp_path: Path) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def events(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for number in range(1000):
            event = f"data: {number}\n\n".encode()
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            assert await seen.get() == event.decode()  # the next one is sent when the client has seen this one
        return True

    alice = TokenOfUser("token-of-alice")
    async with raw_upstream(events) as upstream, fronted(tmp_path, route(upstream), alice=alice) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\n\r\n".encode())
        await read_head(reader)
        number, whole = 0, False
        try:
            async with asyncio.timeout(PATIENCE):
                async for chunk in read_chunks(reader):
                    number += 1
                    if number == 5:
                        alice.end_streams(SessionEnded())
                    else:
                        seen.put_nowait(chunk.decode())
            whole = True
        except asyncio.IncompleteReadError:
            pass
        writer.close()
    assert (number, whole) == (5, False)


async def test_a_websocket_passes_and_its_end_is_told(tmp_path: Path) -> None:
    alice = TokenOfUser("token-of-alice")
    async with socket_upstream() as url, fronted(tmp_path, to(url), alice=alice) as port, browser(port) as page:
        for message in ("hello", b"\x00\xff" * 100_000):
            await page.send(message)
            assert await page.recv() == message
        await alice.has_streams(1)
        alice.end_streams(SessionEnded(EndReason.IDLE_TIMEOUT))
        assert await closing_of(page) == (4401, "idle_timeout")


@pytest.mark.case("PX-066")
async def test_a_client_that_hangs_up_ends_the_upstream_request(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def hang(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        asked.set()
        while await reader.read(65536):
            pass
        raise asyncio.IncompleteReadError(b"", None)

    async with raw_upstream(hang) as upstream, fronted(tmp_path, route(upstream)) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /api/x HTTP/1.1\r\nhost: a\r\n{OURS}cookie: user=alice\r\n\r\n".encode())
        await asyncio.wait_for(asked.wait(), PATIENCE)
        writer.close()
        await asyncio.wait_for(upstream.hung_up.wait(), PATIENCE)
