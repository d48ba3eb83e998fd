"""`/auth/verify` as nginx, Caddy, Traefik and Envoy ask: who is let through, with what, and who gets a token."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

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
OUR_SCRIPT = {**FETCH, "x-csrf": "1"}


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
                assert (public.status_code, "authorization" in public.headers) == (200, False)
                assert "ey" not in public.text


async def test_a_stranger_on_the_private_port_gets_no_token_and_is_not_believed(tmp_path: Path) -> None:
    async with proxied(tmp_path, trusted_proxies="10.9.9.9") as (proxy, browser):
        refused = await proxy.nginx(browser, FROM_HERE)  # it says GET; believed, that would be let through
        assert refused.status_code == 403
        allowed = await proxy.nginx(browser, OUR_SCRIPT)
        assert (allowed.status_code, "authorization" in allowed.headers) == (200, False)


@pytest.mark.parametrize("by", ["x-original", "x-forwarded"], ids=["nginx", "caddy-and-traefik"])
async def test_without_a_session_a_fetch_gets_a_problem_and_a_navigation_goes_to_sign_in(
    tmp_path: Path, by: str
) -> None:
    async with proxied(tmp_path) as (proxy, _):
        redirect, public = "/auth/verify?sign_in=redirect", proxy.world.public_url
        said = {f"{by}-method": "GET", f"{by}-uri": "/reports?year=2026&q=a%20b"}
        refused = await proxy.ask(None, {**FETCH, **said})
        assert problem(refused) == (401, "sign_in_required")
        leads_to = "/auth/login?return_to=/reports%3Fyear%3D2026%26q%3Da%2520b"
        assert refused.headers["x-sign-in-url"] == leads_to
        answer = await proxy.ask(None, {**FROM_HERE, **said}, redirect)
        # Absolute: Traefik would complete a path with our inner address.
        assert (answer.status_code, answer.headers["location"]) == (303, public + leads_to)
        assert (await proxy.ask(None, {**FETCH, **said}, redirect)).status_code == 401
        foreign = await proxy.ask(None, {**FROM_HERE, **said, f"{by}-uri": "//evil.test/"}, redirect)
        assert foreign.headers["location"] == f"{public}/auth/login?return_to=/"


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


async def test_asking_for_the_reason_of_a_refusal_is_never_answered_with_200(tmp_path: Path) -> None:
    """nginx asks again for the words of a refusal, and the browser gets them as the answer to its own request."""
    async with proxied(tmp_path) as (proxy, browser):
        said = {"x-original-method": "POST", "x-original-uri": "/api/orders"}
        explain = "/auth/verify?sign_in=redirect&explain=refusal"
        assert problem(await proxy.ask(browser, {**FETCH, **said}, explain)) == (403, "csrf_required")
        by_now = await proxy.ask(browser, {**OUR_SCRIPT, **said}, explain)
        assert problem(by_now) == (503, "retry_required")
        assert by_now.headers["retry-after"] == "1"
        assert "authorization" not in by_now.headers


async def test_the_landing_page_leads_nowhere_else(world: World) -> None:
    """Not to another origin, and not into an API, whose check of another site it would circumvent."""
    browser = world.browser()
    elsewhere = ("//evil.test/", "https://evil.test/", "/\\evil.test", "/auth/logout", "javascript:alert(1)")
    for to in (*elsewhere, "/api/orders", "/%2e%2e/"):
        page = await browser.navigate(f"/auth/landing?to={quote(to, safe='')}")
        assert page.status_code == 400 or re.findall(r'url=([^"]*)"', page.text) == ["/"], to
    assert (await browser.fetch("/auth/landing?to=/x")).status_code == 403
    page = await browser.navigate("/auth/landing?to=/x?a='%26b=;c")
    assert 'url=/x?a=&#x27;&amp;b=;c"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


async def test_the_original_request_is_checked_for_csrf(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (proxy, browser):
        for method in ("POST", "PUT", "PATCH", "DELETE", "PROPFIND"):
            assert problem(await proxy.nginx(browser, FETCH, method)) == (403, "csrf_required")
            assert (await proxy.nginx(browser, OUR_SCRIPT, method)).status_code == 200
            elsewhere = await proxy.nginx(browser, {**OUR_SCRIPT, "sec-fetch-site": "same-site"}, method)
            assert elsewhere.status_code == 403
        image = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", "sec-fetch-site": "cross-site"}
        socket = {"sec-fetch-mode": "websocket", "sec-fetch-site": "cross-site", "origin": "https://evil.test"}
        for headers, status in (
            (FROM_ELSEWHERE, 200),  # a link of another site opens a page
            (image, 403),
            ({**image, "sec-fetch-site": "same-origin"}, 200),
            (socket, 403),
            ({"accept": "text/html"}, 403),  # without Sec-Fetch-Site a page of a sister host could be asking
        ):
            assert (await proxy.nginx(browser, headers)).status_code == status, headers
        assert (await proxy.ask(browser, FROM_HERE)).status_code == 403, "no method counts as an unsafe one"


async def test_a_contradictory_or_ambiguous_original_request_is_refused(tmp_path: Path) -> None:
    """A client's own X-Forwarded-Method reaches us where a proxy sets only the other header."""
    contradictory = (
        {"x-original-method": "POST", "x-forwarded-method": "GET"},
        {"x-original-method": "POST", "x-forwarded-uri": "/a", "x-original-uri": "/b"},
    )
    paths = ("/api/%2e%2e/admin", "/api/..;/admin", "/api/%250dx", "/api/..%2fadmin", "/a\\..\\b")
    async with proxied(tmp_path) as (proxy, browser):
        for said in contradictory:
            assert problem(await proxy.ask(browser, {**OUR_SCRIPT, **said})) == (400, "invalid_request")
        posted = await proxy.ask(browser, {**OUR_SCRIPT, "x-original-method": "GET"}, method="POST")
        assert posted.status_code == 400
        for by in ("x-original", "x-forwarded"):
            for path in paths:
                said = {f"{by}-method": "GET", f"{by}-uri": f"{path}?a=/../%0d"}
                assert problem(await proxy.ask(browser, {**FETCH, **said})) == (400, "invalid_request")
            query = {f"{by}-method": "GET", f"{by}-uri": "/api/x?a=/../%0d"}
            assert (await proxy.ask(browser, {**FETCH, **query})).status_code == 200


async def test_envoy_asks_with_the_request_itself(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (proxy, browser):
        reports = "/auth/verify/reports?year=2026"
        answer = await proxy.ask(browser, FROM_HERE, reports)
        assert (answer.status_code, "authorization" in answer.headers) == (200, True)
        # What a client claims changes nothing here.
        lied = await proxy.ask(browser, {**FETCH, "x-forwarded-method": "GET"}, reports, "POST")
        assert lied.status_code == 403
        nobody = await proxy.ask(None, FETCH, reports)
        assert nobody.headers["x-sign-in-url"] == "/auth/login?return_to=/reports%3Fyear%3D2026"
        sent = await proxy.ask(None, {**FROM_HERE, "x-sign-in": "redirect"}, reports)
        assert sent.headers["location"].endswith("/auth/login?return_to=/reports%3Fyear%3D2026")
        # The query is the original request's, and none of our options.
        own = "/auth/verify/reports?explain=refusal&sign_in=redirect"
        assert (await proxy.ask(browser, FROM_HERE, own)).status_code == 200
        assert (await proxy.ask(None, FROM_HERE, own)).status_code == 401
        for path in ("/auth/verifyx", "/auth/session"):
            assert (await proxy.ask(browser, FROM_HERE, path)).status_code == 404


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
