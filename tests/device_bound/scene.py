"""A world with device-bound sessions, and a person in Chromium 150 who has signed in."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.async_api import BrowserContext, Page

from bff.web.middleware.draining import Draining
from demo.simulator.people import PASSWORD
from tests.device_bound.front import Front
from tests.device_bound.old_chromium import old_chromium
from tests.harness.http_browser import FETCH as SCRIPT_FETCH
from tests.harness.plain_http import plain_http
from tests.harness.waiting import until
from tests.harness.world import World, small_world

PATIENCE: Final = 60_000  # milliseconds
SCRIPT: Final = {**SCRIPT_FETCH, "x-csrf": "1"}
BOUND: Final = "bff-bound"
FETCH: Final = """([path, method]) => fetch(path, {method, headers: {"X-CSRF": "1"}})
  .then(async (answer) => [answer.status, await answer.json().catch(() => null)])"""


@dataclass
class Copy:
    """Another client with every cookie of the browser, which cannot sign."""

    url: str
    cookie: str

    async def fetch(self, path: str, **headers: str) -> tuple[int, Any]:
        async with plain_http(timeout=60) as http:
            answer = await http.get(self.url + path, headers={**SCRIPT, "cookie": self.cookie, **headers})
            return answer.status_code, answer.json()


@dataclass
class Scene:
    world: World
    front: Front
    context: BrowserContext
    page: Page

    async def sign_in(self) -> None:
        page = self.page
        await page.goto(f"{self.world.public_url}/auth/login?return_to=/orders")
        if "/orders" not in page.url:
            await page.get_by_label("Username").fill("alice@example.com")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"{self.world.public_url}/orders")

    async def fetch(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Status and JSON of an answer, as a script of the page gets it."""
        status, content = await self.page.evaluate(FETCH, [path, method])
        return status, content

    async def bound_cookie(self) -> str | None:
        cookies = await self.context.cookies(self.world.public_url)
        return next((cookie["value"] for cookie in cookies if cookie["name"] == BOUND), None)  # type: ignore[typeddict-item]

    async def bind(self) -> None:
        """The page asks for the session; the browser registers a key, and the BFF has seen the bound cookie once."""
        earlier = await self.bound_cookie()  # of a session that the browser has no more
        await self.fetch("/auth/session")

        async def has_cookie() -> bool:
            return await self.bound_cookie() not in (None, earlier)

        await until(has_cookie)
        assert (await self.fetch("/auth/session"))[1]["device_bound"] is True
        await self.world.settled()

    async def establish(self) -> None:
        """As `bind`; and requests that were under way have arrived."""
        await self.bind()
        self.world.advance(31)

    async def expire(self, seconds: float = 0) -> None:
        """The bound cookie has expired in the browser; with `seconds` also on the server."""
        self.world.advance(seconds)
        await self.context.clear_cookies(name=BOUND)

    async def copy_cookies(self) -> "Copy":
        cookies = await self.context.cookies(self.world.public_url)
        return Copy(self.world.public_url, "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in cookies))

    @property
    def api(self) -> Sequence[Any]:
        return [seen for seen in self.front.seen if seen.path.startswith("/api")]


@asynccontextmanager
async def scene(folder: Path, mode: str = "enforce", **changes: Any) -> AsyncIterator[Scene]:
    """Signed in, not bound yet."""
    spa = folder / "spa"
    spa.mkdir()
    (spa / "index.html").write_text("<!doctype html><title>page</title>")
    changes = {"device_bound": mode, "spa_dir": str(spa), **changes}
    async with small_world(folder, **changes) as world, old_chromium(folder / "profile") as context:
        front = Front(world.bff.public)
        world.bff.public = Draining(front)
        context.set_default_timeout(PATIENCE)
        scene = Scene(world, front, context, context.pages[0])
        await scene.sign_in()
        front.seen.clear()
        yield scene
