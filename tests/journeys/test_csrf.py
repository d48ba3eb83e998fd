"""Requests that another site makes a signed-in browser send: none reaches an upstream, none is answered with CORS.

The ids are those of `tests/cases/csrf.json`.
"""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.harness.http_browser import FETCH, Browser
from tests.harness.pages import error_page, set_cookies
from tests.harness.world import World

EVIL = "https://evil.test"


async def raw(world: World, request: str) -> str:
    """Sends these bytes on a connection of their own; the whole answer."""
    parts = urlsplit(world.public_url)
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    writer.write(request.replace("\n", "\r\n").encode())
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.decode()


async def signed_in(world: World) -> Browser:
    browser = world.browser()
    await browser.sign_in()
    return browser


@pytest.mark.case("CS-004")
@pytest.mark.parametrize("path", ["/api/x", "/auth/logout"])
async def test_a_header_in_the_trailers_proves_nothing(world: World, path: str) -> None:
    browser = await signed_in(world)
    cookie = f"bff-session={browser.cookie('bff-session')}"
    head = f"POST {path} HTTP/1.1\nHost: localhost\nCookie: {cookie}\nContent-Type: application/json\n"
    body = "Transfer-Encoding: chunked\nTrailer: X-CSRF\n\n2\n{}\n0\nX-CSRF: 1\nSec-Fetch-Site: same-origin\n\n"
    assert " 403 " in (await raw(world, head + body)).split("\r\n")[0]
    assert world.upstream.heard == []
    assert (await browser.session())["authenticated"] is True
    # The same with the header where it belongs goes through: it was the place that mattered.
    assert " 200 " in (await raw(world, f"{head}X-CSRF: 1\n{body}")).split("\r\n")[0]


@pytest.mark.case("CS-019")
async def test_a_method_is_what_the_request_line_says(world: World) -> None:
    browser = await signed_in(world)
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
    browser = world.browser()
    hostile = {"return_to": "https://evil.test/", "login_hint": "bob@example.com", "state": "x", "nonce": "x"}
    page = await browser.submit("/auth/login", hostile, initiator=EVIL)
    arrived = await browser.fill_in(page, "alice@example.com")
    assert str(arrived.url) == f"{world.public_url}/"
    assert (await browser.session())["user"]["email"] == "alice@example.com"

    # And an answer from the attacker's own sign-in does not fit into the one that was begun.
    attacker = world.browser()
    answer = await attacker.until_callback("bob@example.com")
    await browser.sign_out()
    await browser.submit("/auth/login", hostile, initiator=EVIL, follow=False)
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
    assert (await browser.session())["authenticated"] is False


@pytest.mark.case("CS-023")
@pytest.mark.parametrize("path", ["/api/x", "/auth/session", "/auth/logout", "/auth/login", "/nothing"])
async def test_a_preflight_is_refused_and_asks_no_upstream(world: World, path: str) -> None:
    browser = await signed_in(world)
    headers = {
        "origin": EVIL,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-csrf",
        "sec-fetch-mode": "cors",
        "sec-fetch-site": "cross-site",
    }
    refused = await browser.http.options(world.public_url + path, headers=headers)
    assert refused.status_code in (403, 404, 405)
    assert not [name for name in refused.headers if name.startswith("access-control-")]
    assert world.upstream.heard == []


@pytest.mark.case("CS-024")
@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost", "https://localhost.evil.test"])
@pytest.mark.parametrize("path", ["/api/x", "/auth/session", "/auth/nothing"])
async def test_no_answer_lets_another_origin_read_it(world: World, path: str, origin: str) -> None:
    browser = await signed_in(world)
    world.upstream.fields = [(b"access-control-allow-origin", origin.encode())]  # not even if an upstream would
    headers = {**FETCH, "x-csrf": "1", "origin": origin, "sec-fetch-site": "cross-site"}
    answer = await browser.http.get(world.public_url + path, headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert world.upstream.heard == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
async def test_nobody_else_signs_a_person_out(world: World, site: str) -> None:
    browser = await signed_in(world)
    for headers in ({"sec-fetch-site": site}, {"sec-fetch-site": site, "origin": EVIL}, {"x-csrf": ""}):
        refused = await browser.fetch("/auth/logout", "POST", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "csrf_required")
        assert set_cookies(refused) == {}
    form = await browser.submit("/auth/logout", {"x": "y"}, initiator=EVIL)
    assert error_page(form) == (403, "csrf_required")
    assert (await browser.session())["authenticated"] is True


async def test_a_missing_proof_is_never_taken_for_a_missing_session(world: World) -> None:
    browser = await signed_in(world)
    refused = await browser.fetch("/api/x", headers={"x-csrf": "0"})
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_required")
    anonymous = world.browser()
    refused = await anonymous.fetch("/api/x", headers={"x-csrf": "0"})
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_required")
    assert (await anonymous.fetch("/api/x")).json()["code"] == "sign_in_required"
