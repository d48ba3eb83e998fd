"""Messages of an open WebSocket in both directions, back-pressure, and how each end reaches the other side."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from bff.proxy.websocket_close import CLOSE_TIMEOUT
from bff.session.session import EndReason
from bff.session.stream_end import AccessTokenExpired, SessionEnded, StreamEnd
from tests.harness.proxy_server import User, Users, running_proxy
from tests.harness.waiting import PATIENCE, loop_turns
from tests.harness.websocket_peers import ClosesHeard, browser, closing_of, socket_upstream, to

KIB = 1024
MIB = 1 << 20


@pytest.mark.parametrize("sent", [(1000, ""), (3999, "x"), None])
async def test_the_upstream_learns_how_the_browser_closed(sent: tuple[int, str] | None) -> None:
    closes = ClosesHeard()
    async with socket_upstream(closes) as url, running_proxy(to(url)) as port, browser(port) as page:
        if sent is None:
            page.transport.abort()
        else:
            await page.close(*sent)
        assert await closes.next() == (sent or (1001, ""))


@pytest.mark.parametrize("dies", [True, False])
async def test_an_upstream_that_dies_or_breaks_the_protocol_closes_with_1011(dies: bool) -> None:
    async def die(connection: ServerConnection) -> None:
        await connection.send("alive")
        if dies:
            connection.transport.abort()
        else:
            connection.transport.write(b"\xff\xff\xff\xff")
            await connection.wait_closed()

    async with socket_upstream(die) as url, running_proxy(to(url)) as port, browser(port) as page:
        assert await page.recv() == "alive"
        assert await closing_of(page) == (1011, "upstream lost")


@pytest.mark.parametrize("kind", ["text", "bytes"])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_message_over_the_limit_closes_with_1009_and_one_of_that_size_passes(way: str, kind: str) -> None:
    async def enlarge(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message if way == "up" else message * 2)

    def message(size: int) -> str | bytes:
        # Two bytes for each character: a limit is one of bytes.
        return "é" * (size // 2) if kind == "text" else b"x" * size

    limit = 64 * KIB
    async with (
        socket_upstream(enlarge) as url,
        running_proxy(to(url, message_limit=limit)) as port,
        browser(port) as page,
    ):
        fits = limit if way == "up" else limit // 2
        await page.send(message(fits))
        assert len(await page.recv()) == len(message(limit))
        await page.send(message(fits + 2))
        assert await closing_of(page) == (1009, "message too big")


@pytest.mark.parametrize(
    ("end", "frame"),
    [
        (SessionEnded(EndReason.SIGNED_OUT), (4401, "signed_out")),
        (AccessTokenExpired(), (4408, "access_token_expired")),
    ],
)
async def test_the_end_of_the_session_closes_both_sides(end: StreamEnd, frame: tuple[int, str]) -> None:
    closes, alice = ClosesHeard(), User("token-of-alice")
    async with socket_upstream(closes) as url:
        api = to(url, on_token_expiry="close")
        async with running_proxy(api, users=Users(alice=alice)) as port, browser(port) as page:
            await alice.has_streams(1)
            assert [with_token for _, with_token in alice.streams.values()] == [True]
            alice.end_streams(end)
            assert await closing_of(page) == frame
            assert await closes.next() == (1001, "")
            await alice.has_streams(0)


async def test_a_websocket_that_closes_by_itself_is_unregistered() -> None:
    alice = User("token-of-alice")
    async with socket_upstream() as url, running_proxy(to(url), users=Users(alice=alice)) as port:
        async with browser(port) as page:
            await page.send("x")
            await page.recv()
            assert [with_token for _, with_token in alice.streams.values()] == [False]
        await alice.has_streams(0)


async def standstill(progress: Callable[[], int]) -> int:
    """How far it gets by itself, as long as somebody does not read."""
    held = -1
    while held != (now := progress()):
        held = now
        await loop_turns(200)
    return held


async def test_a_browser_that_does_not_read_is_closed_all_the_same(advance_clock: Callable[[float], None]) -> None:
    gone, sent = asyncio.Event(), 0

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(b"x" * 64 * KIB)
                sent += 1
        gone.set()

    alice = User("token-of-alice")
    async with (
        socket_upstream(flood) as url,
        running_proxy(to(url), users=Users(alice=alice)) as port,
        browser(port, max_queue=1) as page,
    ):
        await page.recv()
        await standstill(lambda: sent)
        alice.end_streams(SessionEnded())
        for _ in range(3):  # the closing of each side has a timeout of its own
            await loop_turns(10)
            advance_clock(CLOSE_TIMEOUT)
        await asyncio.wait_for(gone.wait(), PATIENCE)
        await alice.has_streams(0)
        page.transport.abort()


@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_peer_waits_for_the_other_that_does_not_read(way: str) -> None:
    total, sent, received = 48 * MIB, 0, 0
    may_read = asyncio.Event()

    async def pour(connection: ServerConnection | ClientConnection) -> None:
        nonlocal sent
        while sent < total:
            await connection.send(b"d" * 64 * KIB)
            sent += 64 * KIB

    async def drain(connection: ServerConnection | ClientConnection) -> None:
        nonlocal received
        await may_read.wait()
        while received < total:
            received += len(await connection.recv())

    upstream, page_does = (drain, pour) if way == "up" else (pour, drain)
    async with (
        socket_upstream(upstream, max_queue=1, ping_interval=None) as url,
        running_proxy(to(url)) as port,
        browser(port, max_queue=1, compression=None, ping_interval=None) as page,
    ):
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(page_does(page))
            assert 0 < await standstill(lambda: sent) < total // 2
            may_read.set()
        assert await closing_of(page) == (1000, "")
    assert received == total


async def test_text_and_bytes_pass_unchanged_in_both_directions() -> None:
    blob = secrets.token_bytes(200 * KIB)
    async with socket_upstream() as url, running_proxy(to(url)) as port, browser(port) as page:
        for message in ("", "héllo \U0001f600", b"", blob, "x" * (300 * KIB)):
            await page.send(message)
            assert await page.recv() == message
        # In fragments too: a message is complete before it is forwarded.
        await page.send(["one ", "two ", "three"])
        assert await page.recv() == "one two three"
