"""The documentation site as a reader has it: `make docs` built it, a web server sends it, a browser shows it."""

import json
import re
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from playwright.async_api import Browser, Page, Request, expect

from scripts.docs_site.reference import PAGES as REFERENCE
from tests.harness.accessibility import accessibility_findings
from tests.harness.chromium import chromium
from tests.harness.places import ROOT

pytestmark = pytest.mark.docs

SITE = ROOT / "var" / "website" / "site"
CONFIGURATION = tomllib.loads((ROOT / "website" / "zensical.toml").read_text("utf-8"))["project"]
PHONE = {"width": 390, "height": 844}  # CSS pixels
PATIENCE = 60_000  # milliseconds


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    assert (SITE / "index.html").is_file(), "run `make docs` first"
    with served(SITE) as url:
        yield url


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


def in_navigation(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry
        else:
            for below in entry.values():
                yield from [below] if isinstance(below, str) else in_navigation(below)


def built(page: str) -> str:
    return page.replace("README.md", "index.md").replace(".md", ".html")


PAGES = [*in_navigation(CONFIGURATION["nav"])]


def test_every_document_is_in_the_navigation_once_and_every_entry_is_a_page() -> None:
    here = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
    here = {name for name in here if not name.startswith("decisions/")}  # linked from the pages that they explain
    assert len(PAGES) == len(set(PAGES))
    # READMEs of examples, and what TypeDoc has written
    shown = {page for page in PAGES if not page.startswith(("source/", "client-api/"))}
    assert shown == here | {f"reference/{name}" for name in REFERENCE}


def test_every_page_was_built() -> None:
    assert [page for page in PAGES if not (SITE / built(page)).is_file()] == []


async def test_no_page_loads_anything_from_another_host_or_is_wider_than_a_phone(site: str, browser: Browser) -> None:
    page = await browser.new_page(viewport=PHONE)
    elsewhere: list[str] = []
    errors: list[str] = []

    def requested(request: Request) -> None:
        if not request.url.startswith((site, "data:", "blob:")):
            elsewhere.append(request.url)

    page.on("request", requested)
    page.on("pageerror", lambda error: errors.append(str(error)))
    too_wide = []
    for name in PAGES:
        await page.goto(site + built(name), timeout=PATIENCE)
        if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            too_wide.append(name)
    assert (elsewhere, too_wide, errors) == ([], [], [])


async def test_search_finds_a_setting(site: str, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(site, timeout=PATIENCE)
    await page.keyboard.press("/")
    await page.keyboard.type("BFF_REFRESH_GRACE")
    await expect(page.get_by_role("link", name=re.compile("settings", re.IGNORECASE)).first).to_be_visible(
        timeout=PATIENCE
    )


async def test_the_theme_is_that_of_the_system_and_can_be_changed(site: str, browser: Browser) -> None:
    page = await browser.new_page(color_scheme="dark")
    await page.goto(site, timeout=PATIENCE)
    await expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "slate", timeout=PATIENCE)
    await page.get_by_title("Use the light theme").click()
    await expect(page.locator("body")).to_have_attribute("data-md-color-scheme", "default", timeout=PATIENCE)


@pytest.mark.parametrize("name", ["index", "settings", "reference/settings"])
async def test_axe_finds_nothing(name: str, site: str, browser: Browser) -> None:
    page: Page = await browser.new_page(viewport=PHONE)
    await page.goto(f"{site}{name}.html", timeout=PATIENCE)
    assert await accessibility_findings(page, every_look=True) == []


def test_the_search_index_has_every_page() -> None:
    index = json.loads((SITE / "search.json").read_text("utf-8"))
    found = {item["location"].partition("#")[0] for item in index["items"]}
    assert [page for page in PAGES if built(page) not in found and page != "index.md" and page.endswith(".md")] == []
