"""What is open when a session ends: event streams and WebSockets end with it, on every replica."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness.http_browser import Browser
from tests.harness.redis_servers import one_server
from tests.harness.streams import Events, Page, closing_of, echoed
from tests.harness.world import World, small_world

BOB = "bob@example.com"
EVIL = "https://evil.example"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path, route={"websocket": True}) as world:
        yield world


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[tuple[World, str]]:
    """A world on Redis, and the URL of its second replica."""
    with one_server(tmp_path / "redis") as redis:
        async with (
            small_world(tmp_path, route={"websocket": True}, store=redis.url) as world,
            world.replica() as replica,
        ):
            yield world, replica


@asynccontextmanager
async def event_stream(browser: Browser, base: str) -> AsyncIterator[Events]:
    """After the first event has arrived."""
    async with Page(base, browser).reading("/api/events") as events:
        assert await events.next() == b"data: open\n\n"
        yield events


@pytest.mark.case("CS-029", "CS-030")
async def test_a_stream_and_a_websocket_end_with_the_sign_out_and_other_peoples_go_on(world: World) -> None:
    browser, other = await world.signed_in(), await world.signed_in(BOB)
    async with (
        event_stream(browser, world.public_url) as mine,
        event_stream(other, world.public_url) as theirs,
        Page(world.public_url, browser).socket(world.public_url) as socket,
    ):
        assert await echoed(socket, "hello")
        await browser.sign_out()
        await mine.end()
        await closing_of(socket)
        world.upstream.goes_on.set()
        assert await theirs.next() == b"data: more\n\n"


@pytest.mark.case("CS-029")
async def test_a_websocket_closes_when_another_person_signs_in(world: World) -> None:
    browser = await world.signed_in()
    async with Page(world.public_url, browser).socket(world.public_url) as socket:
        assert await echoed(socket, "hello")
        browser.forget()
        await browser.fill_in(await browser.navigate("/auth/login", initiator=EVIL), BOB)
        assert (await browser.session())["user"]["email"] == BOB
        await closing_of(socket)


async def test_session_events_on_another_replica_name_the_reason_of_the_end(replicas: tuple[World, str]) -> None:
    world, replica = replicas
    browser = await world.signed_in()
    async with Page(replica, browser).reading("/auth/session/events") as events:
        assert (await events.next()).startswith(b"retry: ")
        await browser.navigate("/auth/login", initiator=EVIL)
        assert await events.next() == b"event: signed_in\ndata: {}\n\n"
        await browser.sign_out()
        assert await events.next() == b'event: ended\ndata: {"reason":"signed_out"}\n\n'
        assert await events.end() == "whole"


# --- a sign-in that another site began -------------------------------------------------------------------------------


@asynccontextmanager
async def uninterrupted(world: World, browser: Browser, base: str | None = None) -> AsyncIterator[None]:
    """Opens an event stream and a WebSocket, and checks that they still flow at the end of the block."""
    page = Page(world.public_url, browser)
    async with event_stream(browser, base or world.public_url) as events, page.socket(world.public_url) as socket:
        yield
        await world.settled()
        world.upstream.goes_on.set()
        assert await events.next() == b"data: more\n\n"
        assert await echoed(socket, "still there?")


async def test_a_sign_in_that_another_site_began_cuts_no_stream(world: World) -> None:
    browser = await world.signed_in()
    async with uninterrupted(world, browser):
        for path in ("/auth/login", "/auth/login?return_to=/orders&max_age=999999", "/authorization-code/callback"):
            world.advance(1)
            await browser.navigate(path, initiator=EVIL)
            assert (await browser.fetch("/api/x")).status_code == 200
    assert len(world.revoked) == 4


@pytest.mark.case("CS-030")
async def test_on_another_replica_it_cuts_none_either_and_a_sign_out_does(replicas: tuple[World, str]) -> None:
    world, replica = replicas
    browser, watcher = await world.signed_in(), await world.signed_in(BOB)
    async with event_stream(watcher, replica) as theirs:
        async with uninterrupted(world, browser, replica):
            await browser.navigate("/auth/login", initiator=EVIL)
            # When a stream whose session ended later is cut there, all records have been looked at since.
            await watcher.sign_out()
            await theirs.end()
        async with event_stream(browser, replica) as events:
            await browser.sign_out()
            await events.end()
