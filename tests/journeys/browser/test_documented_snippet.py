"""What README.md tells an SPA to do, run as it stands there, in a real browser."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page

from demo.simulator.people import PASSWORD
from tests.harness.person import PATIENCE
from tests.harness.places import ROOT
from tests.harness.redis_servers import RedisServer, one_server
from tests.harness.waiting import until
from tests.harness.world import World, small_world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

README = ROOT / "README.md"
PAGE = '<!doctype html><title>app</title><script type="module" src="/app.js"></script>'
# All that is added: what the snippet defines, within a test's reach.
REACH = "\nglobalThis.app = { session, api, signOut };\n"
DEEP = "/orders/17?sort=-date&q=a%20b#row-3"


def snippet() -> str:
    (found,) = re.findall(r"^```js\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@asynccontextmanager
async def served(folder: Path, **changes: str) -> AsyncIterator[World]:
    spa = folder / "spa"
    spa.mkdir()
    (spa / "index.html").write_text(PAGE)
    (spa / "app.js").write_text(snippet() + REACH)
    async with small_world(folder, spa_dir=str(spa), **changes) as world:
        yield world


async def session_of(page: Page) -> dict[str, Any]:
    # Asked for from outside: the page's own policy forbids a string that waits in it.
    await until(lambda: page.evaluate("globalThis.app !== undefined"))
    found: dict[str, Any] = await page.evaluate("app.session")
    return found


async def sign_in(world: World, page: Page) -> None:
    """Opens a page deep in the app; the snippet does the rest but for the password."""
    page.set_default_timeout(PATIENCE)
    await page.goto(world.public_url + DEEP, wait_until="commit")
    await page.get_by_label("Username").fill("alice@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(world.public_url + DEEP)
    assert (await session_of(page))["user"]["email"] == "alice@example.com"


async def test_it_signs_in_calls_the_api_and_signs_out(tmp_path: Path, browser: Browser) -> None:
    async with served(tmp_path) as world:
        page = await (await browser.new_context()).new_page()
        await sign_in(world, page)
        assert await page.evaluate("app.api('/api/orders').then((answer) => answer.status)") == 200
        assert await page.evaluate("app.signOut()") is True
        await page.wait_for_url(lambda url: urlsplit(url).port != urlsplit(world.public_url).port)
        await page.context.close()


async def test_it_leads_back_to_the_same_place_when_the_session_has_ended(tmp_path: Path, browser: Browser) -> None:
    async with served(tmp_path) as world:
        page = await (await browser.new_context()).new_page()
        await sign_in(world, page)
        await page.evaluate("fetch('/auth/logout', { method: 'POST', headers: { 'X-CSRF': '1' } })")
        async with page.expect_request(lambda request: "/auth/login?" in request.url) as asked:
            await page.evaluate("void app.api('/api/orders')")
        assert "return_to=%2Forders%2F17%3Fsort%3D-date%26q%3Da%2520b%23row-3" in (await asked.value).url
        await page.context.close()


async def test_while_the_store_is_away_nobody_is_signed_out(tmp_path: Path, browser: Browser) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with served(tmp_path, store=redis.url) as world:
            page = await (await browser.new_context()).new_page()
            await sign_in(world, page)
            await outlives_an_outage(world, page, redis)
            await page.context.close()


async def outlives_an_outage(world: World, page: Page, redis: RedisServer) -> None:
    opened: list[str] = []
    statuses: list[int] = []
    page.on("request", lambda request: opened.append(urlsplit(request.url).path))
    page.on("response", lambda response: statuses.append(response.status) if "/auth/session" in response.url else None)
    redis.freeze()
    try:
        await page.reload()
        await until(lambda: statuses.count(503) >= 2)
        assert await page.evaluate("globalThis.app") is None
    finally:
        redis.thaw()
    assert (await session_of(page))["user"]["email"] == "alice@example.com"
    assert await page.evaluate("app.api('/api/orders').then((answer) => answer.status)") == 200
    assert page.url == world.public_url + DEEP
    assert "/auth/login" not in opened
