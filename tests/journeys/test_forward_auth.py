"""`/auth/verify` as nginx, Caddy, Traefik and Envoy ask: who is let through, with what, and who gets a token."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.pages import problem
from tests.harness.plain_http import plain_http
from tests.harness.world import World, listening, serving, small_world

PROXY = {
    "trusted_proxies": "127.0.0.1",
    "forward_auth_headers": "X-User-Sub=sub X-User-Email=email X-User-Groups=groups",
}
FROM_HERE = {**NAVIGATION, "sec-fetch-site": "same-origin"}
FROM_ELSEWHERE = {**NAVIGATION, "sec-fetch-site": "cross-site"}


@dataclass
class Proxy:
    """Asks on the port that only proxies reach."""

    world: World
    inner: str
    http: httpx.AsyncClient

    async def ask(
        self, browser: Browser | None, headers: dict[str, str], path: str = "/auth/verify", method: str = "GET"
    ) -> httpx.Response:
        cookie = browser.cookie("bff-session") if browser is not None else None
        sent = {**headers, **({"cookie": f"bff-session={cookie}"} if cookie else {})}
        return await self.http.request(method, self.inner + path, headers=sent)

    async def nginx(self, browser: Browser | None, headers: dict[str, str], method: str = "GET") -> httpx.Response:
        original = {"x-original-method": method, "x-original-uri": "/reports?year=2026&q=a%20b"}
        return await self.ask(browser, {**headers, **original})


@asynccontextmanager
async def proxied(directory: Path, **more: Any) -> AsyncIterator[tuple[Proxy, Browser]]:
    """The proxy, and a browser of somebody who is signed in."""
    async with small_world(directory, **{**PROXY, **more}) as world, plain_http() as http:
        with listening() as bound:
            async with serving(world.bff.forward_auth, bound):
                yield Proxy(world, f"http://127.0.0.1:{bound.getsockname()[1]}", http), await world.signed_in()


async def test_a_page_is_let_through_with_token_and_identity_and_no_browser_gets_a_token(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (proxy, browser):
        answer = await proxy.nginx(browser, FROM_HERE)
        session = await browser.session()
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["authorization"].startswith("Bearer ey")
        assert answer.headers["x-user-sub"] == session["user"]["sub"]
        assert answer.headers["x-user-email"] == "alice@example.com"
        assert "x-user-groups" in answer.headers  # always, so that a client's own never stands
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers
        # A proxy passes /auth/ on to the public port, where a script could ask.
        for path in ("/auth/verify", "/auth/verify/anything"):
            for more in ({}, {"x-original-method": "GET", "x-forwarded-method": "GET"}):
                public = await browser.fetch(path, headers=more)
                assert (public.status_code, "authorization" in public.headers, public.content) == (200, False, b"")


async def test_a_navigation_from_elsewhere_takes_one_step_on_our_own_site_first(tmp_path: Path) -> None:
    """The Strict cookie is not sent on the redirects that come back from the provider."""
    async with proxied(tmp_path) as (proxy, browser):
        redirect, public = "/auth/verify?sign_in=redirect", proxy.world.public_url
        said = {"x-forwarded-method": "GET", "x-forwarded-uri": "/reports?year=2026"}
        first = await proxy.ask(None, {**FROM_ELSEWHERE, **said}, redirect)
        assert first.status_code == 303
        assert first.headers["location"] == f"{public}/auth/landing?to=/reports%3Fyear%3D2026"
        page = await browser.navigate(first.headers["location"], initiator="https://provider.invalid")
        assert re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text) == ["/reports?year=2026"]
        assert (await proxy.ask(browser, {**FROM_HERE, **said}, redirect)).status_code == 200
        # Nobody is signed in: it goes on to the sign-in, not round and round.
        nobody = await proxy.ask(None, {**FROM_HERE, **said}, redirect)
        assert nobody.headers["location"].startswith(f"{public}/auth/login?")


async def test_the_token_is_renewed_before_the_answer_and_an_outage_signs_nobody_out(tmp_path: Path) -> None:
    async with proxied(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as (proxy, browser):
        world = proxy.world
        before = (await proxy.nginx(browser, FROM_HERE)).headers["authorization"]
        world.advance(301)
        after = await proxy.nginx(browser, FROM_HERE)
        assert (after.status_code, after.headers["authorization"] != before) == (200, True)
        assert world.okta.control.refresh_requests == 1
        await world.okta.control.down()
        assert (await proxy.nginx(browser, FROM_HERE)).status_code == 200
        world.advance(301)
        away = await proxy.nginx(browser, FETCH)
        assert problem(away) == (503, "provider_unavailable")
        assert int(away.headers["retry-after"]) >= 1
        await world.okta.control.up()
        await world.settled()
        world.advance(60)
        assert (await proxy.nginx(browser, FETCH)).status_code == 200


async def test_after_a_sign_out_the_very_next_question_is_answered_with_401(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (proxy, browser):
        cookie = str(browser.cookie("bff-session"))
        await browser.sign_out()
        browser.plant("bff-session", cookie)
        answer = await proxy.nginx(browser, FETCH)
        assert (answer.status_code, answer.json()["reason"]) == (401, "signed_out")
