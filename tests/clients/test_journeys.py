"""A page with the client in three engines, before a real BFF and a simulated Okta."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Error as PlaywrightError

from bff.session.session import EndReason
from demo.simulator.people import PASSWORD
from tests.clients.windows import ENGINES, WITHIN, Windows
from tests.harness.firefox import FirefoxError
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.webkit import WebKitError
from tests.harness.world import World, small_world

pytestmark = [pytest.mark.clients, pytest.mark.asyncio(loop_scope="session")]

PAGE = Path(__file__).with_name("page")
DEEP = "/orders/17?sort=-date&q=a%20b#row-3"
SHOWN = "return document.querySelector('#session')?.textContent"
ALICE = "authenticated alice@example.com"


@pytest.fixture(scope="session")
def spa(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page and the modules of the package as they are published, without a bundler."""
    folder = tmp_path_factory.mktemp("spa")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    shutil.copytree(package / "dist", folder / "client")
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=list(ENGINES))
async def windows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Windows]:
    async with ENGINES[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@asynccontextmanager
async def served(folder: Path, spa: Path, windows: Windows, **changes: str) -> AsyncIterator[World]:
    async with small_world(folder, spa_dir=str(spa), **changes) as world:
        try:
            yield world
        finally:
            # One window for the next test, on no page that still asks this server.
            first, *others = await windows.handles()
            for handle in others:
                await windows.switch(handle)
                await windows.close()
            await windows.switch(first)
            await windows.open("about:blank")


async def look(windows: Windows, script: str) -> Any:
    """What the script returns, or None in the middle of a navigation."""
    try:
        return await windows.evaluate(script)
    except (PlaywrightError, FirefoxError, WebKitError):
        return None


async def shows(windows: Windows, text: str) -> None:
    async def shown() -> bool:
        return bool(await look(windows, SHOWN) == text)

    try:
        await until(shown, within=WITHIN)
    except TimeoutError:
        found = await windows.evaluate("return location.href + ' ' + document.body.innerText")
        raise AssertionError(f"{text!r} did not come: {found}") from None


async def shows_no_user(windows: Windows) -> None:
    """Whatever the reason: a cookie of the test before may say one."""

    async def shown() -> bool:
        return str(await look(windows, SHOWN)).startswith("anonymous")

    await until(shown, within=WITHIN)


async def comes_of(windows: Windows, button: str) -> object:
    found: object = None

    async def known() -> bool:
        nonlocal found
        found = await look(windows, f"return client.results['{button}']")
        return found not in (None, "…")

    await until(known, within=WITHIN)
    return found


async def fill_in_credentials(windows: Windows) -> None:
    async def offered() -> bool:
        return bool(
            await look(windows, "return document.readyState === 'complete' && !!document.querySelector('#password')")
        )

    await until(offered, within=WITHIN)
    await windows.evaluate("document.querySelector('#username').value = ''")
    await windows.fill_in("#username", "alice@example.com")
    await windows.fill_in("#password", PASSWORD)
    await windows.click("button[type=submit]")


async def sign_in(windows: Windows, world: World, path: str = "/") -> None:
    """By redirect."""
    await windows.open(world.public_url + path)
    await shows_no_user(windows)
    await windows.click("#redirect")
    await fill_in_credentials(windows)
    await windows.until(lambda url: url == world.public_url + path)
    await shows(windows, ALICE)


async def status_of(windows: Windows, path: str) -> object:
    await windows.evaluate(
        f"client.results.call = undefined; client.bff.fetch({path!r})"
        ".then((answer) => answer.status, (error) => error.code).then((found) => (client.results.call = found))"
    )
    return await comes_of(windows, "call")


async def test_sign_in_by_redirect_comes_back_to_the_same_place(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world, DEEP)
        assert await status_of(windows, "/api/orders") == 200


async def test_sign_in_by_popup_keeps_what_was_typed(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await windows.open(world.public_url + DEEP)
        await shows_no_user(windows)
        await windows.fill_in("#draft", "half a sentence")
        (page,) = await windows.handles()
        await windows.click("#popup")
        popup = await opened(windows, page)
        await windows.switch(popup)
        await fill_in_credentials(windows)
        await until(lambda: only(windows, page), within=WITHIN)
        await windows.switch(page)
        assert await comes_of(windows, "popup") is True
        await shows(windows, ALICE)
        assert await windows.evaluate("return document.querySelector('#draft').value") == "half a sentence"
        assert await windows.url() == world.public_url + DEEP


async def test_a_request_waits_for_the_sign_in_and_reaches_the_api_once(
    tmp_path: Path, spa: Path, windows: Windows
) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        await windows.fill_in("#draft", "half a sentence")
        await world.bff.flows.sessions.end_sessions.these([await world.stored()], EndReason.OPERATOR)
        await shows(windows, "anonymous operator")
        await windows.evaluate(
            "client.bff.fetch('/api/orders', { method: 'POST', body: 'an order' })"
            ".then((answer) => answer.status, (error) => error.code).then((found) => (client.results.call = found))"
        )
        (page,) = await windows.handles()
        await windows.click("#popup")  # the provider's session needs no password
        assert await comes_of(windows, "popup") is True
        assert await comes_of(windows, "call") == 200
        orders = [heard for heard in world.upstream.heard if heard.method == "POST"]
        assert [heard.body for heard in orders] == [b"an order"]
        assert await windows.evaluate("return document.querySelector('#draft').value") == "half a sentence"
        await until(lambda: only(windows, page), within=WITHIN)


async def opened(windows: Windows, page: str) -> str:
    """The handle of the window that is new."""
    others: list[str] = []

    async def there() -> bool:
        nonlocal others
        others = [handle for handle in await windows.handles() if handle != page]
        return bool(others)

    await until(there, within=WITHIN)
    return others[0]


async def only(windows: Windows, page: str) -> bool:
    return await windows.handles() == [page]


async def test_sign_out_in_one_of_ten_tabs_reaches_all(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        (first,) = await windows.handles()
        tabs = [first]
        for _ in range(9):
            tabs.append(await windows.new_tab())
            await windows.open(world.public_url)
            await shows(windows, ALICE)
        await windows.click("#sign-out")
        await windows.until(lambda url: urlsplit(url).port != urlsplit(world.public_url).port or url.endswith("/"))
        for tab in tabs[:-1]:
            await windows.switch(tab)
            await shows(windows, "anonymous signed_out")
        assert len(await world.bff.stores.sessions.find("sub", world.sub())) == 0


async def test_the_end_by_an_operator_reaches_a_page_that_asks_nothing(
    tmp_path: Path, spa: Path, windows: Windows
) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        session = await world.stored()
        await world.bff.flows.sessions.end_sessions.these([session], EndReason.OPERATOR)
        await shows(windows, "anonymous operator")


async def test_outages_of_store_and_provider_never_look_like_signed_out(
    tmp_path: Path, spa: Path, windows: Windows
) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with served(tmp_path, spa, windows, store=redis.url) as world:
            await sign_in(windows, world)
            redis.freeze()
            try:
                await windows.evaluate("void client.bff.session.refresh(true)")
                await shows(windows, f"{ALICE} stale")
            finally:
                redis.thaw()
            await shows(windows, ALICE)
            assert await status_of(windows, "/api/orders") == 200


async def test_a_jump_of_the_clock_signs_no_one_out(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        for hours in (-24, 24):  # the device was asleep, or its clock was wrong
            await windows.evaluate(f"const now = Date.now.bind(Date); Date.now = () => now() + {hours} * 3600e3")
            await windows.evaluate("dispatchEvent(new Event('focus')); void client.bff.session.refresh(true)")
            await shows(windows, ALICE)
        world.advance(3700)
        await windows.evaluate("void client.bff.session.refresh(true)")
        await shows(windows, "anonymous idle_timeout")


async def test_the_back_button_shows_no_session_that_has_ended(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        await windows.open(world.public_url.replace("localhost", "127.0.0.1") + "/auth/session")
        await world.bff.flows.sessions.end_sessions.these([await world.stored()], EndReason.OPERATOR)
        await windows.evaluate("history.back()")
        await windows.until(lambda url: url.startswith(world.public_url))
        await shows(windows, "anonymous operator")


async def test_the_idle_warning_goes_when_the_user_stays(tmp_path: Path, spa: Path, windows: Windows) -> None:
    async with served(tmp_path, spa, windows) as world:
        await sign_in(windows, world)
        world.advance(3600 - 100)
        await windows.evaluate("void client.bff.session.refresh(true)")
        await shows(windows, f"{ALICE} expiring")
        await windows.click("#extend")
        await shows(windows, ALICE)
        assert await comes_of(windows, "extend") == "authenticated"
