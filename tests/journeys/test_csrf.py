"""Requests that another site makes a signed-in browser send: none reaches an upstream or is answered with CORS."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.harness.http_browser import FETCH
from tests.harness.pages import error_page, problem, set_cookies
from tests.harness.world import World

EVIL = "https://evil.test"


async def raw(world: World, request: str) -> str:
    """Sends these bytes on a connection of their own; the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(world.public_url).port)
    writer.write(request.replace("\n", "\r\n").encode())
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.decode()


@pytest.mark.case("CS-004")
async def test_a_header_in_the_trailers_proves_nothing(world: World) -> None:
    browser = await world.signed_in()
    for path in ("/api/x", "/auth/logout"):
        cookie = f"bff-session={browser.cookie('bff-session')}"
        head = f"POST {path} HTTP/1.1\nHost: localhost\nCookie: {cookie}\nContent-Type: application/json\n"
        body = "Transfer-Encoding: chunked\nTrailer: X-CSRF\n\n2\n{}\n0\nX-CSRF: 1\nSec-Fetch-Site: same-origin\n\n"
        before = len(world.upstream.heard)
        assert " 403 " in (await raw(world, head + body)).split("\r\n")[0]
        assert len(world.upstream.heard) == before
        assert (await browser.session())["authenticated"] is True
        # The same with the header where it belongs goes through: it was the place that mattered.
        assert " 200 " in (await raw(world, f"{head}X-CSRF: 1\n{body}")).split("\r\n")[0]


@pytest.mark.case("CS-019")
async def test_a_method_is_what_the_request_line_says(world: World) -> None:
    browser = await world.signed_in()
    override = {"X-HTTP-Method-Override": "DELETE", "X-Method-Override": "DELETE", "X-HTTP-Method": "DELETE"}
    await browser.fetch("/api/orders/7?_method=DELETE", "POST", headers=override, json={"_method": "DELETE"})
    (heard,) = world.upstream.heard
    assert heard.method == "POST"
    assert not {name for name in heard.headers if "method" in name}
    assert (await browser.fetch("/auth/logout", "GET", headers={"X-HTTP-Method-Override": "POST"})).status_code == 405
    assert (await browser.session())["authenticated"] is True


@pytest.mark.case("CS-022")
async def test_a_sign_in_that_another_site_began_is_the_browsers_own(world: World) -> None:
    """It may begin one, as Okta's dashboard does; it can't choose who is signed in, nor where the browser lands."""
    browser, attacker = world.browser(), world.browser()
    hostile = {"return_to": "https://evil.test/", "login_hint": "bob@example.com", "state": "x", "nonce": "x"}
    page = await browser.submit("/auth/login", hostile, initiator=EVIL)
    arrived = await browser.fill_in(page, "alice@example.com")
    assert str(arrived.url) == f"{world.public_url}/"
    assert (await browser.session())["user"]["email"] == "alice@example.com"
    # And an answer from the attacker's own sign-in does not fit into the one that was begun.
    answer = await attacker.until_callback("bob@example.com")
    await browser.sign_out()
    await browser.submit("/auth/login", hostile, initiator=EVIL, follow=False)
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
    assert (await browser.session())["authenticated"] is False


@pytest.mark.case("CS-023", "CS-024")
async def test_no_preflight_is_granted_and_no_answer_lets_another_origin_read_it(world: World) -> None:
    browser = await world.signed_in()
    preflight = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-csrf",
        "sec-fetch-mode": "cors",
        "sec-fetch-site": "cross-site",
    }
    for path in ("/api/x", "/auth/session", "/auth/logout", "/auth/login", "/auth/nothing", "/nothing"):
        refused = await browser.http.options(world.public_url + path, headers={**preflight, "origin": EVIL})
        assert refused.status_code in (403, 404, 405), path
        for origin in (EVIL, "null", "http://localhost", "https://localhost.evil.test"):
            world.upstream.fields = [(b"access-control-allow-origin", origin.encode())]  # not even if an upstream would
            headers = {**FETCH, "x-csrf": "1", "origin": origin, "sec-fetch-site": "cross-site"}
            answer = await browser.http.get(world.public_url + path, headers=headers)
            assert not [name for each in (refused, answer) for name in each.headers if name.startswith("access-")]
    assert world.upstream.heard == []


async def test_no_other_site_signs_a_person_out(world: World) -> None:
    browser = await world.signed_in()
    for site in ("cross-site", "same-site", "none"):
        for headers in ({"sec-fetch-site": site}, {"sec-fetch-site": site, "origin": EVIL}, {"x-csrf": ""}):
            refused = await browser.fetch("/auth/logout", "POST", headers=headers)
            assert problem(refused) == (403, "csrf_required")
            assert set_cookies(refused) == {}
    form = await browser.submit("/auth/logout", {"x": "y"}, initiator=EVIL)
    assert error_page(form) == (403, "csrf_required")
    assert (await browser.session())["authenticated"] is True


async def test_a_missing_csrf_header_is_never_reported_as_a_missing_session(world: World) -> None:
    anonymous = world.browser()
    for browser in (await world.signed_in(), anonymous):
        assert problem(await browser.fetch("/api/x", headers={"x-csrf": "0"})) == (403, "csrf_required")
    assert problem(await anonymous.fetch("/api/x")) == (401, "sign_in_required")
