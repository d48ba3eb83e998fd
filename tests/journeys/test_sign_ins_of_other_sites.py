"""Sign-ins that another site begins: a tile in Okta's dashboard, and a hostile page that begins a thousand of them.

Neither locks anybody out, nor uses up what our own pages need, nor ends anything that is open.
"""

import html
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bff.endpoints.cookies import ALL_COOKIES_BYTES
from bff.session.login_transaction import SLOTS
from tests.journeys.http_browser import Browser, site_of
from tests.journeys.pages import error_page, set_cookies
from tests.journeys.test_open_streams import closes, cookie_of, event_stream, socket_to
from tests.journeys.world import World, small_world

BOB = "bob@example.com"
EVIL = "https://evil.example"
REFRESH = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]+)">')


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path, route={"websocket": True}, acr_values="phr") as world:
        yield world


def parameters(response: httpx.Response) -> dict[str, str]:
    query = parse_qs(urlsplit(response.headers["location"]).query, strict_parsing=True)
    return {name: value for name, [value] in query.items()}


def line_of(browser: Browser) -> str:
    """The Cookie line that a browser would send, with the names as they are on https."""
    return "; ".join(
        f"{name.replace('bff-', '__Host-Http-')}={browser.cookie(name)}" for name in sorted(browser.cookie_names())
    )


async def from_elsewhere(browser: Browser, path: str = "/auth/login", login: str | None = None) -> httpx.Response:
    """A link of another site, followed to the page at its end: through the step on our own site, and the provider."""
    page = await browser.navigate(path, initiator=EVIL)
    step = REFRESH.search(page.text)
    if step is not None:
        page = await browser.navigate(html.unescape(step[1]), initiator=site_of(browser.app))
        assert REFRESH.search(page.text) is None
    return await browser.fill_in(page, login) if login else page


# --- a form of another site ------------------------------------------------------------------------------------------


async def test_a_form_of_another_site_sets_no_cookie_and_goes_on_as_a_get(world: World) -> None:
    browser = world.browser()
    asked = {"iss": world.okta.org_issuer, "target_link_uri": f"{world.public_url}/orders?page=2"}
    posted = await browser.submit("/auth/login", asked, initiator=EVIL, follow=False)
    assert (posted.status_code, set_cookies(posted)) == (303, {})
    assert posted.headers["location"] == "/auth/login?return_to=%2Forders%3Fpage%3D2"
    page = await browser.navigate(posted.headers["location"], initiator=EVIL)
    arrived = await browser.fill_in(page)
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"
    assert (await browser.session())["authenticated"] is True


async def test_a_hundred_forms_leave_sixteen_small_cookies_at_most(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    for number in range(100):
        asked = {"target_link_uri": f"{world.public_url}/{number}?" + "x" * 2000}
        await browser.submit("/auth/login", asked, initiator=EVIL)
        world.advance(5)
    assert len([name for name in browser.cookie_names() if "login-" in name]) <= SLOTS
    assert len(line_of(browser)) < ALL_COOKIES_BYTES
    assert (await browser.fetch("/api/x")).status_code == 200


async def test_a_refused_form_is_refused_at_once(world: World) -> None:
    browser = world.browser()
    for asked in ({"iss": EVIL}, {"prompt": "consent"}, {"max_age": "x"}):
        refused = await browser.submit("/auth/login", asked, initiator=EVIL)
        assert error_page(refused) == (400, "invalid_request")
        assert refused.request.method == "POST"


async def test_a_login_hint_reaches_the_provider_and_no_address_and_no_log_of_ours(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hint = "zoë.hint@example.com"
    browser = world.browser()
    with caplog.at_level(logging.DEBUG):
        posted = await browser.submit("/auth/login", {"login_hint": hint}, initiator=EVIL, follow=False)
        assert list(parameters(posted)) == ["return_to", "sealed_hint"]
        assert "hint@" not in posted.headers["location"].replace("%40", "@")
        begun = await browser.navigate(posted.headers["location"], initiator=EVIL, follow=False)
    assert parameters(begun)["login_hint"] == hint
    assert "zoë" not in caplog.text
    assert "hint@" not in caplog.text
    # Whoever finds the address written down somewhere learns nothing from it a minute later.
    world.advance(62)
    late = await browser.navigate(posted.headers["location"], initiator=EVIL, follow=False)
    assert "login_hint" not in parameters(late)
    for bent in ("x", "A" * 100, posted.headers["location"].rpartition("=")[2][:-2]):
        begun = await browser.navigate(f"/auth/login?sealed_hint={bent}", follow=False)
        assert "login_hint" not in parameters(begun)


# --- round and round -------------------------------------------------------------------------------------------------


async def test_another_sites_links_use_up_their_own_count_and_not_ours(world: World) -> None:
    browser = world.browser()
    for _ in range(10):
        assert (await browser.navigate("/auth/login", initiator=EVIL, follow=False)).status_code == 303
    for initiator in (EVIL, "http://sister.localhost"):
        stopped = await browser.navigate("/auth/login", initiator=initiator, follow=False)
        assert error_page(stopped) == (429, "sign_in_loop")
    for _ in range(10):
        assert (await browser.navigate("/auth/login", follow=False)).status_code == 303
    assert error_page(await browser.navigate("/auth/login", follow=False)) == (429, "sign_in_loop")
    world.advance(61)
    await browser.sign_in()
    assert (await browser.session())["authenticated"] is True


# --- somebody who is signed in ---------------------------------------------------------------------------------------


async def test_a_sign_in_that_another_site_began_leaves_session_and_streams_as_they_are(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    before = browser.cookie("bff-session")
    async with event_stream(browser, world.public_url) as pieces, socket_to(world, browser) as socket:
        for path in ("/auth/login", "/auth/login?return_to=/orders&max_age=999999", "/authorization-code/callback"):
            world.advance(1)
            assert (await from_elsewhere(browser, path)).status_code in (200, 404)
        await world.settled()
        world.upstream.goes_on.set()
        assert await anext(pieces) == b"data: more\n\n"
        await socket.send("still there?")
        assert await socket.recv() == "still there?"
    assert browser.cookie("bff-session") == before
    assert (await browser.fetch("/api/x")).status_code == 200
    # What the provider gave for the others is given back.
    ended = [family["revoked"] for family in world.okta.control.state()["families"]]
    assert ended == [None, *["revoked by the client"] * 3]
    await browser.sign_out()
    assert (await browser.session())["authenticated"] is False


async def test_it_leads_to_the_page_that_was_asked_for(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    arrived = await from_elsewhere(browser, "/auth/login?target_link_uri=/orders%3Fpage%3D2")
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"


async def test_the_hint_of_another_sites_link_is_sealed_on_our_own_step(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    step = await browser.navigate("/auth/login?login_hint=bob.hint@example.com", initiator=EVIL)
    assert "bob.hint" not in step.text
    found = REFRESH.search(step.text)
    assert found is not None
    begun = await browser.navigate(html.unescape(found[1]), initiator=site_of(browser.app), follow=False)
    assert parameters(begun)["login_hint"] == "bob.hint@example.com"


async def test_another_person_or_a_fresh_authentication_replaces_the_session(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    first = browser.cookie("bff-session")
    async with socket_to(world, browser) as socket:
        world.advance(5)
        await from_elsewhere(browser, "/auth/login?prompt=login", "alice@example.com")  # typed the password again
        assert browser.cookie("bff-session") not in (None, first)
        await closes(socket)
    async with socket_to(world, browser) as socket:
        browser.forget()
        await from_elsewhere(browser, "/auth/login", BOB)
        assert (await browser.session())["user"]["email"] == BOB
        await closes(socket)


async def test_a_sign_in_of_our_own_replaces_the_session_as_before(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    async with socket_to(world, browser) as socket:
        await browser.sign_in()
        await closes(socket)


async def test_a_browser_that_was_closed_and_lost_its_session_cookie_gets_a_new_one(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    browser.drop("bff-session")
    await from_elsewhere(browser)
    assert (await browser.fetch("/api/x")).status_code == 200


async def test_a_session_that_is_over_by_its_limits_is_replaced(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    begun = await browser.navigate("/auth/login?begun=elsewhere", follow=False)
    world.advance(590)
    answer = await browser.at_provider(begun.headers["location"])
    await browser.sign_out()
    await browser.arrive(answer)
    assert (await browser.session())["authenticated"] is True


# --- too many cookies ------------------------------------------------------------------------------------------------


async def test_headers_that_are_too_large_cost_the_sign_ins_under_way_and_no_session(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    await browser.begin()
    line = "; ".join(f"{name}={browser.cookie(name)}" for name in browser.cookie_names())
    line += "".join(f"; bff-login-{number:022d}={'x' * 2600}" for number in range(13))
    headers = {"cookie": line, "accept": "text/html", "sec-fetch-mode": "navigate"}
    refused = await browser.http.get(f"{world.public_url}/orders", headers=headers)
    assert error_page(refused) == (431, "headers_too_large")
    assert "have been deleted" in re.sub(r"\s+", " ", refused.text)
    cleared = {line.split(";")[0] for line in refused.headers.get_list("set-cookie")}
    assert {name.partition("=")[0] for name in cleared} >= {f"bff-login-{number:022d}" for number in range(13)}
    assert {"bff-attempts="} < cleared
    assert not {"bff-session=", "bff-browser="} & cleared
    assert all("Max-Age=0" in each for each in refused.headers.get_list("set-cookie"))
    problem = await browser.http.get(f"{world.public_url}/api/x", headers={"cookie": line})
    assert problem.json()["code"] == "headers_too_large"
    assert "sign-ins under way were deleted" in problem.json()["detail"]
    assert problem.headers.get_list("set-cookie") == refused.headers.get_list("set-cookie")
    assert cookie_of(browser) in line
    nothing = await browser.http.get(f"{world.public_url}/api/x", headers={"x": "y" * 40000})
    assert (nothing.status_code, nothing.headers.get_list("set-cookie")) == (431, [])
