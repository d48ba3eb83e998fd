"""Three engines behind the few methods that the journeys need."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from playwright.async_api import BrowserContext, Page

from tests.harness.chromium import chromium
from tests.harness.firefox import firefox
from tests.harness.waiting import until
from tests.harness.webkit import webkit

WITHIN: Final = 120  # seconds, for a machine that is busy; a limit that fails a test


class Windows(Protocol):
    """All windows of one browser with one cookie jar; the methods are about the current one."""

    async def open(self, url: str) -> None: ...
    async def url(self) -> str: ...
    async def evaluate(self, script: str) -> Any: ...
    async def fill_in(self, selector: str, text: str) -> None: ...
    async def click(self, selector: str) -> None: ...
    async def new_tab(self) -> str: ...
    async def handles(self) -> list[str]: ...
    async def switch(self, handle: str) -> None: ...
    async def close(self) -> None: ...
    async def until(self, condition: Callable[[str], bool]) -> str: ...


class Chromium:
    def __init__(self, context: BrowserContext, page: Page) -> None:
        self._context, self._page = context, page

    async def open(self, url: str) -> None:
        await self._page.goto(url)

    async def url(self) -> str:
        return self._page.url

    async def evaluate(self, script: str) -> Any:
        return await self._page.evaluate(f"() => {{ {script} }}")

    async def fill_in(self, selector: str, text: str) -> None:
        await self._page.locator(selector).press_sequentially(text)

    async def click(self, selector: str) -> None:
        await self._page.locator(selector).click()

    async def new_tab(self) -> str:
        self._page = await self._context.new_page()
        return self._name(self._page)

    async def handles(self) -> list[str]:
        return [self._name(page) for page in self._context.pages]

    async def switch(self, handle: str) -> None:
        (self._page,) = [page for page in self._context.pages if self._name(page) == handle]
        await self._page.bring_to_front()

    async def close(self) -> None:
        await self._page.close()

    async def until(self, condition: Callable[[str], bool]) -> str:
        await until(lambda: condition(self._page.url), within=WITHIN)
        return self._page.url

    @staticmethod
    def _name(page: Page) -> str:
        return str(id(page))


@asynccontextmanager
async def chromium_windows(_folder: Path) -> AsyncIterator[Windows]:
    async with chromium("--test-third-party-cookie-phaseout") as browser:  # no cookies of third parties
        context = await browser.new_context()
        context.set_default_timeout(WITHIN * 1000)
        yield Chromium(context, await context.new_page())


@asynccontextmanager
async def firefox_windows(folder: Path) -> AsyncIterator[Windows]:
    # 1: no cookies of third parties; popups only after a click, as users have it.
    async with firefox(folder, network__cookie__cookieBehavior=1) as window:
        yield window


ENGINES: Final[dict[str, Callable[[Path], AbstractAsyncContextManager[Windows]]]] = {
    "chromium": chromium_windows,
    "firefox": firefox_windows,
    "webkit": webkit,
}
