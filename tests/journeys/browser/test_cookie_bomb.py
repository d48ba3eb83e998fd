"""A hostile site makes a visitor's browser begin sign-ins without end, by forms and by links.

In real browsers, which alone decide what cookies a cross-site form and the redirect after it carry; behind a real nginx
with its default buffers, which refuses a Cookie line of more than 8 KiB on every page.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser
from starlette.types import Receive, Scope, Send

from bff.session.login_transaction import SLOTS
from bff.web.cookies import ALL_COOKIES_BYTES
from demo.simulator.people import PASSWORD
from tests.harness.firefox import firefox
from tests.harness.nginx import CONFIG, running_nginx
from tests.harness.person import PATIENCE
from tests.harness.ports import free_port
from tests.harness.world import World, listening, serving, small_world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


@dataclass
class Hostile:
    """A page that sends its visitor on at once: `/form` by a POST, anything else by a link."""

    target: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        back = f"{self.target}/{scope['query_string'].decode()}?{'x' * 1900}"
        if scope["path"] == "/form":
            page = (
                f'<form method="post" action="{self.target}/auth/login">'
                f'<input name="target_link_uri" value="{escape(back)}"></form>'
                "<script>document.forms[0].submit()</script>"
            )
        else:
            page = f'<script>location.replace("{self.target}/auth/login?target_link_uri={back}")</script>'
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": f"<!doctype html>{page}".encode()})


@dataclass(frozen=True)
class Scene:
    world: World
    app: str
    hostile: str

    def gone_on(self, url: str) -> bool:
        """Whether the browser has left the hostile page: for the provider's, or for an error's page of ours."""
        return url.startswith(("http://localhost", self.world.okta.base_url))

    def lures(self, rounds: int) -> list[str]:
        """Of a form and a link each; the cookies of two rounds without a limit are more than nginx takes."""
        return [f"{self.hostile}/{way}?{number}" for number in range(rounds) for way in ("form", "link")]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    port = free_port()
    app = f"http://localhost:{port}"
    okta = {"redirect_uris": (f"{app}/authorization-code/callback",), "post_logout_redirect_uris": (f"{app}/",)}
    async with small_world(folder, okta=okta, public_url=app) as world:
        config = CONFIG.format(folder=folder / "nginx", port=port, behind=urlsplit(world.public_url).port)
        with listening() as bound:
            # To a browser 127.0.0.1 is another site than localhost.
            hostile = f"http://127.0.0.1:{bound.getsockname()[1]}"
            async with running_nginx(folder / "nginx", config, port), serving(Hostile(app), bound):
                yield Scene(world, app, hostile)


def assert_small(cookies: dict[str, str]) -> None:
    ours = {name: value for name, value in cookies.items() if name.startswith("bff-")}
    assert 1 <= len([name for name in ours if name.startswith("bff-login-")]) <= SLOTS
    longest = "; ".join(f"{name.replace('bff-', '__Host-Http-')}={value}" for name, value in ours.items())
    assert len(longest) < ALL_COOKIES_BYTES


async def test_chromium_still_shows_every_page_and_signs_in(tmp_path: Path, browser: Browser) -> None:
    async with scene(tmp_path) as on:
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        for lure in on.lures(8):
            await page.goto(lure, wait_until="commit")
            await page.wait_for_url(lambda url: on.gone_on(url))
        assert_small({each["name"]: each["value"] for each in await context.cookies(on.app)})
        shown = await page.goto(f"{on.app}/auth/session")
        assert shown is not None
        assert (shown.status, (await shown.json())["authenticated"]) == (200, False)
        # What the hostile page used up is its own.
        await page.goto(f"{on.app}/auth/login?return_to=/orders")
        await page.get_by_label("Username").fill("alice@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"{on.app}/orders")
        shown = await page.goto(f"{on.app}/auth/session")
        assert shown is not None
        assert (await shown.json())["authenticated"] is True
        await context.close()


async def test_firefox_still_shows_every_page_and_signs_in(tmp_path: Path) -> None:
    async with scene(tmp_path) as on, firefox(tmp_path / "firefox") as window:
        for lure in on.lures(3):
            await window.open(lure)
            await window.until(on.gone_on)
        await window.open(f"{on.app}/auth/session")
        assert '"authenticated":false' in await window.evaluate("return document.documentElement.textContent")
        assert_small(await window.cookies())
        await window.open(f"{on.app}/auth/login?return_to=/orders")
        await window.fill_in("[name=username]", "alice@example.com")
        await window.fill_in("[name=password]", PASSWORD)
        await window.click("button")
        await window.until(lambda url: url == f"{on.app}/orders")
        await window.open(f"{on.app}/auth/session")
        assert '"authenticated":true' in await window.evaluate("return document.documentElement.textContent")
