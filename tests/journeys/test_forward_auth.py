"""`/auth/verify` as nginx, Caddy, Traefik and Envoy ask: who is let through, with what, and who is told a token."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from bff.web.auth.forward_auth import _field_value
from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.plain_http import plain_http
from tests.harness.world import World, listening, serving, small_world

PROXY = {
    "trusted_proxies": "127.0.0.1",
    "forward_auth_headers": "X-User-Sub=sub X-User-Email=email X-User-Groups=groups",
}
FROM_HERE = {**NAVIGATION, "sec-fetch-site": "same-origin"}
FROM_ELSEWHERE = {**NAVIGATION, "sec-fetch-site": "cross-site"}


@dataclass
class Asked:
    """A proxy's question, on the door that only proxies reach or on the public one."""

    world: World
    inner: str
    http: httpx.AsyncClient

    async def ask(
        self, browser: Browser | None, headers: dict[str, str], *, url: str | None = None, method: str = "GET"
    ) -> httpx.Response:
        cookie = browser.cookie("bff-session") if browser is not None else None
        sent = {**headers, **({"cookie": f"bff-session={cookie}"} if cookie else {})}
        return await self.http.request(method, url or f"{self.inner}/auth/verify", headers=sent)

    async def nginx(self, browser: Browser | None, headers: dict[str, str], method: str = "GET") -> httpx.Response:
        said = {"x-original-method": method, "x-original-uri": "/reports?year=2026&q=a%20b"}
        return await self.ask(browser, {**headers, **said})


@asynccontextmanager
async def asked(directory: Path, **more: Any) -> AsyncIterator[Asked]:
    async with small_world(directory, **{**PROXY, **more}) as world, plain_http() as http:
        with listening() as bound:
            async with serving(world.bff.forward_auth, bound):
                yield Asked(world, f"http://127.0.0.1:{bound.getsockname()[1]}", http)


async def test_a_page_of_somebody_signed_in_is_let_through_with_token_and_identity(tmp_path: Path) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        answer = await it.nginx(browser, FROM_HERE)
        session = await browser.session()
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["authorization"].startswith("Bearer ey")
        assert answer.headers["x-user-sub"] == session["user"]["sub"]
        assert answer.headers["x-user-email"] == "alice@example.com"
        assert "x-user-groups" in answer.headers  # always said, so that a client's own never stands
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers


async def test_no_browser_is_ever_told_a_token(tmp_path: Path) -> None:
    """A proxy passes /auth/ on to the public port, where a script could ask."""
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        for more in ({}, {"x-original-method": "GET", "x-forwarded-method": "GET"}):
            answer = await browser.fetch("/auth/verify", headers=more)
            assert answer.status_code == 200
            assert "authorization" not in answer.headers
            assert "ey" not in answer.text
        below = await browser.fetch("/auth/verify/anything")
        assert (below.status_code, "authorization" in below.headers) == (200, False)


async def test_a_stranger_at_the_inner_door_is_told_no_token_and_not_believed(tmp_path: Path) -> None:
    async with asked(tmp_path, trusted_proxies="10.9.9.9") as it:
        browser = it.world.browser()
        await browser.sign_in()
        refused = await it.nginx(browser, FROM_HERE)  # it says GET; believed, that would be let through
        assert (refused.status_code, refused.json()["code"] if refused.text[:1] == "{" else "page") == (403, "page")
        allowed = await it.nginx(browser, {**FETCH, "x-csrf": "1"})
        assert (allowed.status_code, "authorization" in allowed.headers) == (200, False)


@pytest.mark.parametrize(
    "said",
    [
        {"x-original-method": "GET", "x-original-uri": "/reports"},
        {"x-forwarded-method": "GET", "x-forwarded-uri": "/reports"},
    ],
    ids=["nginx", "caddy-and-traefik"],
)
async def test_without_a_session_a_fetch_gets_problem_json_and_the_way_to_sign_in(
    tmp_path: Path, said: dict[str, str]
) -> None:
    async with asked(tmp_path) as it:
        answer = await it.ask(None, {**FETCH, **said})
        assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_required")
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-sign-in-url"] == "/auth/login?return_to=/reports"


async def test_a_navigation_is_sent_to_sign_in_and_keeps_its_query(tmp_path: Path) -> None:
    async with asked(tmp_path) as it:
        url = f"{it.inner}/auth/verify?sign_in=redirect"
        said = {"x-forwarded-method": "GET", "x-forwarded-uri": "/reports?year=2026&q=a%20b"}
        answer = await it.ask(None, {**FROM_HERE, **said}, url=url)
        assert answer.status_code == 303
        # Absolute: Traefik would complete a path with our inner address.
        public = it.world.public_url
        assert answer.headers["location"] == f"{public}/auth/login?return_to=/reports%3Fyear%3D2026%26q%3Da%2520b"
        fetch = await it.ask(None, {**FETCH, **said}, url=url)
        assert fetch.status_code == 401
        foreign = await it.ask(None, {**FROM_HERE, **said, "x-forwarded-uri": "//evil.test/"}, url=url)
        assert foreign.headers["location"] == f"{public}/auth/login?return_to=/"


async def test_who_comes_from_elsewhere_takes_one_step_on_our_own_site_first(tmp_path: Path) -> None:
    """The Strict cookie is not sent on the redirects that come back from the provider."""
    async with asked(tmp_path) as it:
        url = f"{it.inner}/auth/verify?sign_in=redirect"
        said = {"x-forwarded-method": "GET", "x-forwarded-uri": "/reports?year=2026"}
        browser = it.world.browser()
        await browser.sign_in()
        first = await it.ask(None, {**FROM_ELSEWHERE, **said}, url=url)
        public = it.world.public_url
        assert (first.status_code, first.headers["location"]) == (
            303,
            f"{public}/auth/landing?to=/reports%3Fyear%3D2026",
        )
        page = await browser.navigate(first.headers["location"], initiator="https://provider.invalid")
        (target,) = re.findall(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
        assert target == "/reports?year=2026"
        then = await it.ask(browser, {**FROM_HERE, **said}, url=url)
        assert then.status_code == 200
        # Nobody is signed in: it goes on to the sign-in, not round and round.
        nobody = await it.ask(None, {**FROM_HERE, **said}, url=url)
        assert nobody.headers["location"].startswith(f"{public}/auth/login?")


async def test_a_browser_that_says_nothing_of_where_it_comes_from_is_refused(tmp_path: Path) -> None:
    """Since March 2023 every browser sends Sec-Fetch-Site; without it a page of a sister host could be asking."""
    async with asked(tmp_path) as it:
        answer = await it.nginx(None, {"accept": "text/html"})
        assert answer.status_code == 403


async def test_who_asks_why_is_never_answered_with_yes(tmp_path: Path) -> None:
    """nginx asks again for the words of a refusal, and the browser gets them as the answer to its own request."""
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        said = {"x-original-method": "POST", "x-original-uri": "/api/orders"}
        url = f"{it.inner}/auth/verify?sign_in=redirect&explain=refusal"
        refused = await it.ask(browser, {**FETCH, **said}, url=url)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_required")
        by_now = await it.ask(browser, {**FETCH, **said, "x-csrf": "1"}, url=url)
        assert (by_now.status_code, by_now.json()["code"]) == (503, "retry_required")
        assert by_now.headers["retry-after"] == "1"
        assert "authorization" not in by_now.headers


@pytest.mark.parametrize(
    "to",
    [
        "//evil.test/",
        "https://evil.test/",
        "/\\evil.test",
        "/auth/logout",
        "javascript:alert(1)",
        "/api/orders",
        "/%2e%2e/",
    ],
)
async def test_the_landing_page_leads_nowhere_else(world: World, to: str) -> None:
    """Not to another origin, and not into an API, which judges a request by where it comes from."""
    page = await world.browser().navigate(f"/auth/landing?to={quote(to, safe='')}")
    if page.status_code == 200:
        assert re.findall(r'url=([^"]*)"', page.text) == ["/"]
    else:
        assert page.status_code == 400


async def test_the_landing_page_is_opened_not_fetched_and_nothing_of_the_address_becomes_markup(world: World) -> None:
    browser = world.browser()
    assert (await browser.fetch("/auth/landing?to=/x")).status_code == 403
    page = await browser.navigate("/auth/landing?to=/x?a='%26b=;c")
    assert 'url=/x?a=&#x27;&amp;b=;c"' in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_an_unsafe_request_needs_the_csrf_header(tmp_path: Path, method: str) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        refused = await it.nginx(browser, FETCH, method)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_required")
        allowed = await it.nginx(browser, {**FETCH, "x-csrf": "1"}, method)
        assert allowed.status_code == 200
        elsewhere = await it.nginx(browser, {**FETCH, "x-csrf": "1", "sec-fetch-site": "same-site"}, method)
        assert elsewhere.status_code == 403


async def test_a_link_of_another_site_opens_a_page_and_nothing_else(tmp_path: Path) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        assert (await it.nginx(browser, FROM_ELSEWHERE)).status_code == 200
        image = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", "sec-fetch-site": "cross-site"}
        assert (await it.nginx(browser, image)).status_code == 403
        assert (await it.nginx(browser, {**image, "sec-fetch-site": "same-origin"})).status_code == 200
        socket = {"sec-fetch-mode": "websocket", "sec-fetch-site": "cross-site", "origin": "https://evil.test"}
        assert (await it.nginx(browser, socket)).status_code == 403


@pytest.mark.parametrize(
    "said",
    [
        {"x-original-method": "POST", "x-forwarded-method": "GET"},
        {"x-original-method": "POST", "x-forwarded-uri": "/a", "x-original-uri": "/b"},
    ],
    ids=["two-methods", "two-addresses"],
)
async def test_two_stories_of_one_request_are_refused(tmp_path: Path, said: dict[str, str]) -> None:
    """A client's own X-Forwarded-Method reaches us where a proxy sets only the other header."""
    async with asked(tmp_path) as it:
        answer = await it.ask(None, {**FETCH, "x-csrf": "1", **said})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/api/%2e%2e/admin", "/api/..;/admin", "/api/%250dx", "/api/..%2fadmin", "/a\\..\\b"])
async def test_a_path_that_two_programs_read_differently_is_refused_for_the_proxy_too(
    tmp_path: Path, path: str
) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        for by in ("x-original", "x-forwarded"):
            said = {f"{by}-method": "GET", f"{by}-uri": f"{path}?a=/../%0d"}
            answer = await it.ask(browser, {**FETCH, **said})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
            query = {**said, f"{by}-uri": "/api/x?a=/../%0d"}
            assert (await it.ask(browser, {**FETCH, **query})).status_code == 200


async def test_where_nobody_says_the_method_it_counts_as_an_unsafe_one(tmp_path: Path) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        assert (await it.ask(browser, FROM_HERE)).status_code == 403
        posted = await it.ask(browser, {**FETCH, "x-csrf": "1", "x-original-method": "GET"}, method="POST")
        assert posted.status_code == 400


async def test_envoy_asks_with_the_request_itself(tmp_path: Path) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        url = f"{it.inner}/auth/verify/reports?year=2026"
        answer = await it.ask(browser, FROM_HERE, url=url)
        assert (answer.status_code, "authorization" in answer.headers) == (200, True)
        # What a client claims changes nothing here.
        lied = await it.ask(browser, {**FETCH, "x-forwarded-method": "GET"}, url=url, method="POST")
        assert lied.status_code == 403
        nobody = await it.ask(None, FETCH, url=url)
        assert nobody.headers["x-sign-in-url"] == "/auth/login?return_to=/reports%3Fyear%3D2026"
        sent = await it.ask(None, {**FROM_HERE, "x-sign-in": "redirect"}, url=url)
        assert sent.headers["location"].endswith("/auth/login?return_to=/reports%3Fyear%3D2026")
        # The query is the original request's, and none of our options.
        own = f"{it.inner}/auth/verify/reports?explain=refusal&sign_in=redirect"
        assert (await it.ask(browser, FROM_HERE, url=own)).status_code == 200
        assert (await it.ask(None, FROM_HERE, url=own)).status_code == 401
        assert (await it.ask(browser, FROM_HERE, url=f"{it.inner}/auth/verifyx")).status_code == 404
        assert (await it.ask(browser, FROM_HERE, url=f"{it.inner}/auth/session")).status_code == 404


async def test_a_token_that_has_run_out_is_renewed_before_the_answer(tmp_path: Path) -> None:
    async with asked(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as it:
        browser = it.world.browser()
        await browser.sign_in()
        before = (await it.nginx(browser, FROM_HERE)).headers["authorization"]
        it.world.advance(301)
        after = await it.nginx(browser, FROM_HERE)
        assert after.status_code == 200
        assert after.headers["authorization"] != before
        assert it.world.okta.control.refresh_requests == 1


async def test_while_the_provider_is_away_it_is_503_and_nobody_is_signed_out(tmp_path: Path) -> None:
    async with asked(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as it:
        browser = it.world.browser()
        await browser.sign_in()
        await it.world.okta.control.down()
        assert (await it.nginx(browser, FROM_HERE)).status_code == 200
        it.world.advance(301)
        away = await it.nginx(browser, FETCH)
        assert (away.status_code, away.json()["code"]) == (503, "provider_unavailable")
        assert int(away.headers["retry-after"]) >= 1
        await it.world.okta.control.up()
        await it.world.settled()
        it.world.advance(60)
        assert (await it.nginx(browser, FETCH)).status_code == 200


async def test_after_a_sign_out_the_very_next_question_is_answered_with_401(tmp_path: Path) -> None:
    async with asked(tmp_path) as it:
        browser = it.world.browser()
        await browser.sign_in()
        cookie = browser.cookie("bff-session")
        await browser.sign_out()
        browser.plant("bff-session", str(cookie))
        answer = await it.nginx(browser, FETCH)
        assert (answer.status_code, answer.json()["reason"]) == (401, "signed_out")


@pytest.mark.parametrize(
    ("claim", "field"),
    [
        (None, b""),
        (True, b"true"),
        ("alice@example.com", b"alice@example.com"),
        ("Alice Example", b"Alice Example"),
        (" Alice", b"%20Alice"),
        ("Zoë, \r\nX-Admin: 1", b"Zo%C3%AB, %0D%0AX-Admin: 1"),
        ("100%", b"100%25"),
        (["Admins", "A, B", "ü"], b"Admins,A%2C B,%C3%BC"),
        ({"a": 1}, b""),
        ("x" * 5000, b""),
    ],
)
def test_a_claim_becomes_one_line_of_visible_ascii(claim: Any, field: bytes) -> None:
    assert _field_value(claim) == field
