"""What is open when a session ends: event streams and WebSockets end with it, on every replica.

The ids are those of `tests/cases/csrf.json`. Each wait has a bound; what is asserted is the end, not its time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.harness.http_browser import FETCH, Browser
from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import one_server
from tests.harness.world import World, small_world

BOUND = 60  # seconds, for a machine that is busy; a second or two is what is promised


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path, route={"websocket": True}) as world:
        yield world


def cookie_of(browser: Browser) -> str:
    return f"bff-session={browser.cookie('bff-session')}"


@asynccontextmanager
async def event_stream(browser: Browser, base: str) -> AsyncIterator[AsyncIterator[bytes]]:
    """The stream's pieces, after the first has arrived."""
    headers = {**FETCH, "x-csrf": "1", "cookie": cookie_of(browser)}
    async with (
        plain_http(timeout=BOUND) as client,
        client.stream("GET", f"{base}/api/events", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"data: open\n\n"
        yield pieces


async def ends(pieces: AsyncIterator[bytes]) -> None:
    async with asyncio.timeout(BOUND):
        try:
            async for _ in pieces:
                pass
        except (httpx.RemoteProtocolError, httpx.ReadError):
            pass  # cut in the middle: an event stream has no other end that a reader could take for its own


def socket_to(world: World, browser: Browser, origin: str | None = None) -> connect:
    url = world.public_url.replace("http:", "ws:") + "/api/socket"
    headers = {"Cookie": cookie_of(browser)}
    return connect(url, origin=origin or world.public_url, additional_headers=headers, proxy=None, open_timeout=BOUND)  # type: ignore[arg-type]


async def closes(socket: ClientConnection) -> None:
    async with asyncio.timeout(BOUND):
        await socket.wait_closed()


@pytest.mark.case("CS-030")
async def test_an_event_stream_ends_with_the_sign_out(world: World) -> None:
    browser, other = world.browser(), world.browser()
    await browser.sign_in()
    await other.sign_in("bob@example.com")
    async with event_stream(browser, world.public_url) as mine, event_stream(other, world.public_url) as theirs:
        await browser.sign_out()
        await ends(mine)
        world.upstream.goes_on.set()
        assert await anext(theirs) == b"data: more\n\n"  # somebody else's goes on


@pytest.mark.case("CS-030")
async def test_an_event_stream_ends_when_another_replica_signed_the_person_out(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world, world.replica() as replica:
            browser = world.browser()
            await browser.sign_in()
            async with event_stream(browser, replica) as pieces:
                await browser.sign_out()
                await ends(pieces)


@pytest.mark.case("CS-029")
async def test_a_websocket_closes_with_the_sign_out(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    async with socket_to(world, browser) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
        await browser.sign_out()
        await closes(socket)


@pytest.mark.case("CS-029")
async def test_a_websocket_closes_when_the_person_signs_in_as_somebody_else(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    async with socket_to(world, browser) as socket:
        await socket.send("hello")
        await socket.recv()
        browser.forget()
        await browser.sign_in("bob@example.com")
        await closes(socket)


async def test_a_websocket_of_another_origin_is_refused_before_the_upstream_hears_of_it(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    for origin in ("https://evil.test", "null", world.public_url + "0"):
        with pytest.raises(InvalidStatus) as refused:
            async with socket_to(world, browser, origin):
                pass
        assert refused.value.response.status_code == 403


async def test_a_websocket_without_a_session_is_a_401(world: World) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with socket_to(world, world.browser()):
            pass
    assert refused.value.response.status_code == 401
