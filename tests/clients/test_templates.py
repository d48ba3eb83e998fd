"""The templates of examples/, as they are copied: built and served by the BFF, and in development with hot reloads."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from bff.session.session import EndReason
from demo.simulator.people import PASSWORD
from tests.clients.npm_package import WORKED_IN, copied, install, npm
from tests.harness.chromium import chromium
from tests.harness.places import ROOT
from tests.harness.ports import free_port
from tests.harness.waiting import until
from tests.harness.world import World, small_world

pytestmark = [pytest.mark.clients, pytest.mark.asyncio(loop_scope="session")]

WITHIN = 120_000  # milliseconds, for a machine that is busy; a limit that fails a test
PUBLISHED = ("package.json", "README.md", "LICENSE", "dist", "src")
HEADINGS = {"react": "src/App.tsx", "vue": "src/App.vue"}


@pytest.fixture(scope="session", params=list(HEADINGS))
def template(request: pytest.FixtureRequest, package: Path) -> Path:
    """A copy with its dependencies, the package among them as it is published."""
    tree = WORKED_IN / "tree"
    client = tree / "clients" / "js"
    shutil.rmtree(client, ignore_errors=True)
    client.mkdir(parents=True)
    for name in PUBLISHED:
        source = package / name
        shutil.copytree(source, client / name) if source.is_dir() else shutil.copy2(source, client / name)
    folder = copied(ROOT / "examples" / request.param, tree / "examples" / request.param)
    install(folder, *sorted((client / "dist").glob("*.js")))
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@asynccontextmanager
async def page_of(browser: Browser, url: str) -> AsyncIterator[Page]:
    context = await browser.new_context()
    context.set_default_timeout(WITHIN)
    page = await context.new_page()
    await page.goto(url)
    yield page
    await context.close()


async def sign_in(page: Page) -> None:
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_label("Username").fill("alice@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("Signed in as Alice Liddell")).to_be_visible(timeout=WITHIN)


async def loads_the_orders(page: Page) -> None:
    await page.get_by_role("button", name="Load the orders").click()
    await expect(page.locator("pre")).to_contain_text("/api/orders", timeout=WITHIN)


async def ends(world: World, page: Page) -> None:
    """An operator ends the session."""
    await world.bff.flows.sessions.end_sessions.these([await world.stored()], EndReason.OPERATOR)
    await expect(page.get_by_text("Your session has ended (operator).")).to_be_visible(timeout=WITHIN)


async def test_it_works_as_it_is_built(tmp_path: Path, template: Path, browser: Browser) -> None:
    npm(template, "run", "build")
    async with (
        small_world(tmp_path, spa_dir=str(template / "dist")) as world,
        page_of(browser, world.public_url + "/orders") as page,
    ):
        await sign_in(page)
        assert urlsplit(page.url).path == "/orders"
        await loads_the_orders(page)
        await ends(world, page)
        await page.get_by_role("button", name="Sign in").click()  # the provider's session needs no password
        await expect(page.get_by_text("Signed in as Alice Liddell")).to_be_visible(timeout=WITHIN)
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url(world.public_url + "/", timeout=WITHIN)
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible(timeout=WITHIN)
        await expect(page.get_by_text("Your session has ended")).to_have_count(0)
        # Without this every browser asks for /favicon.ico, which is not there.
        await expect(page.locator("link[rel=icon]")).to_have_count(1)


async def test_it_works_in_development_and_a_hot_reload_keeps_the_page(
    tmp_path: Path, template: Path, browser: Browser
) -> None:
    address = f"http://localhost:{free_port()}"
    registered: dict[str, Any] = {
        "redirect_uris": (f"{address}/authorization-code/callback",),
        "post_logout_redirect_uris": (f"{address}/",),
    }
    async with (
        small_world(tmp_path, okta=registered, public_url=address) as world,
        development_server(template, address, world.public_url.replace("localhost", "127.0.0.1")),
        page_of(browser, address + "/orders") as page,
    ):
        await sign_in(page)
        assert page.url == address + "/orders"
        await loads_the_orders(page)
        await page.get_by_label("Note").fill("half a sentence")
        source = template / HEADINGS[template.name]
        source.write_text(source.read_text("utf-8").replace("<h1>Orders</h1>", "<h1>All orders</h1>"), "utf-8")
        await expect(page.get_by_role("heading")).to_have_text("All orders", timeout=WITHIN)
        await expect(page.get_by_text("Signed in as Alice Liddell")).to_be_visible(timeout=WITHIN)
        assert await page.get_by_label("Note").input_value() == "half a sentence"
        await ends(world, page)


@asynccontextmanager
async def development_server(folder: Path, address: str, bff: str) -> AsyncIterator[None]:
    """`npm run dev` without npm, which would not pass a signal on."""
    command = ("node", "node_modules/vite/bin/vite.js", "--port", str(urlsplit(address).port))
    with (folder / "vite.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={**os.environ, "BFF_URL": bff}, stdout=log, stderr=log
        )
    try:
        await until(
            lambda: process.returncode is not None or b"Local:" in (folder / "vite.log").read_bytes(), within=120
        )
        assert process.returncode is None, (folder / "vite.log").read_text("utf-8")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
