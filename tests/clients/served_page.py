"""The page with the client, served by a real BFF before a simulated Okta, and what a person does and sees there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Error as PlaywrightError

from demo.simulator.people import PASSWORD
from tests.clients.windows import WITHIN, Windows
from tests.harness.firefox import FirefoxError
from tests.harness.waiting import until
from tests.harness.webkit import WebKitError
from tests.harness.world import World, small_world

DEEP = "/orders/17?sort=-date&q=a%20b#row-3"
SHOWN = "return document.querySelector('#session')?.textContent"
ALICE = "authenticated alice@example.com"


@asynccontextmanager
async def served(folder: Path, spa: Path, windows: Windows, **changes: Any) -> AsyncIterator[World]:
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


async def begins_to_record(windows: Windows) -> None:
    """From now on the page remembers all that it has shown about the session."""
    await windows.evaluate(
        "const shown = document.querySelector('#session'); client.shown = [shown.textContent];"
        "client.bff.session.subscribe(() => client.shown.push(shown.textContent))"
    )


async def states_seen(windows: Windows) -> set[str]:
    return set(await windows.evaluate("return client.shown"))


async def comes_of(windows: Windows, button: str) -> object:
    found: object = None

    async def known() -> bool:
        nonlocal found
        found = await look(windows, f"return client.results['{button}']")
        return found not in (None, "…")

    await until(known, within=WITHIN)
    return found


async def fill_in_credentials(windows: Windows, code: str | None = None) -> None:
    """With the code of an authenticator, where Okta asks for one."""

    async def offered() -> bool:
        return bool(
            await look(windows, "return document.readyState === 'complete' && !!document.querySelector('#password')")
        )

    await until(offered, within=WITHIN)
    await windows.evaluate("document.querySelector('#username').value = ''")
    await windows.fill_in("#username", "alice@example.com")
    await windows.fill_in("#password", PASSWORD)
    if code is not None:
        await windows.fill_in("#code", code)
    await windows.click("button[type=submit]")


async def sign_in(windows: Windows, world: World, path: str = "/") -> None:
    """By redirect."""
    await windows.open(world.public_url + path)
    await shows_no_user(windows)
    await windows.click("#redirect")
    await fill_in_credentials(windows)
    await windows.until(lambda url: url == world.public_url + path)
    await shows(windows, ALICE)


async def status_of(windows: Windows, path: str, method: str = "GET") -> object:
    await windows.evaluate(
        f"client.results.call = undefined; client.bff.fetch({path!r}, {{ method: {method!r} }})"
        ".then((answer) => answer.status, (error) => error.code).then((found) => (client.results.call = found))"
    )
    return await comes_of(windows, "call")


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
