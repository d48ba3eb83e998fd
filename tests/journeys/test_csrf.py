"""Requests that another site makes a signed-in browser send: none reaches an upstream or is answered with CORS."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.harness.pages import error_page
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
