"""Sign-ins that another site begins: a tile in Okta's dashboard, and a hostile page that begins a thousand of them.

Neither locks anybody out, nor uses up what our own pages need, nor ends anything that is open.
"""

import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from bff.session.login_transaction import SLOTS
from bff.web.cookies import ALL_COOKIES_BYTES
from tests.harness.http_browser import Browser
from tests.harness.pages import error_page, set_cookies
from tests.harness.redis_servers import one_server
from tests.harness.world import World, small_world
from tests.journeys.test_open_streams import closes, cookie_of, ends, event_stream, socket_to

BOB = "bob@example.com"
EVIL = "https://evil.example"


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
    """A link of another site, followed to the page at its end, through the provider."""
    page = await browser.navigate(path, initiator=EVIL)
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
        assert set(parameters(posted)) == {"return_to", "sealed_hint"}
        assert "hint@" not in posted.headers["location"].replace("%40", "@")
        begun = await browser.navigate(posted.headers["location"], initiator=EVIL, follow=False)
        await browser.navigate(f"/auth/login?{urlencode({'login_hint': hint, 'prompt': 'no such'})}")  # is logged
    ours = [str(vars(record)) for record in caplog.records if record.name.startswith("bff")]
    assert ours
    assert parameters(begun)["login_hint"] == hint
    assert not [line for line in ours if re.search(r"zo(ë|%C3)|hint(@|%40)", line)]
    # Whoever finds the address written down somewhere learns nothing from it a minute later.
    world.advance(62)
    late = await browser.navigate(posted.headers["location"], initiator=EVIL, follow=False)
    assert "login_hint" not in parameters(late)
    for bent in ("x", "A" * 100, parameters(posted)["sealed_hint"][:-2]):
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


@asynccontextmanager
async def open_streams(world: World, browser: Browser, base: str | None = None) -> AsyncIterator[None]:
    """An event stream and a WebSocket, which still flow when the block has ended."""
    async with event_stream(browser, base or world.public_url) as pieces, socket_to(world, browser) as socket:
        yield
        await world.settled()
        world.upstream.goes_on.set()
        assert await anext(pieces) == b"data: more\n\n"
        await socket.send("still there?")
        assert await socket.recv() == "still there?"


async def test_a_sign_in_that_another_site_began_cuts_no_stream(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    async with open_streams(world, browser):
        for path in ("/auth/login", "/auth/login?return_to=/orders&max_age=999999", "/authorization-code/callback"):
            world.advance(1)
            await from_elsewhere(browser, path)
            assert (await browser.fetch("/api/x")).status_code == 200
    assert len(world.okta.control.state()["families"]) == 4


async def test_on_another_replica_it_cuts_none_either(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with (
            small_world(tmp_path, route={"websocket": True}, store=redis.url) as world,
            world.replica() as replica,
        ):
            browser, watcher = world.browser(), world.browser()
            await browser.sign_in()
            await watcher.sign_in(BOB)
            async with event_stream(watcher, replica) as theirs:
                async with open_streams(world, browser, replica):
                    await from_elsewhere(browser)
                    # When a stream whose session ended later is cut there, all records have been looked at since.
                    await watcher.sign_out()
                    await ends(theirs)
                async with event_stream(browser, replica) as pieces:
                    await browser.sign_out()
                    await ends(pieces)


async def test_the_streams_that_went_over_end_with_the_new_session(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    async with event_stream(browser, world.public_url) as pieces, socket_to(world, browser) as socket:
        await from_elsewhere(browser)
        await browser.sign_out()
        await ends(pieces)
        await closes(socket)


async def test_another_person_cuts_the_streams_of_the_first(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    async with socket_to(world, browser) as socket:
        browser.forget()
        await from_elsewhere(browser, "/auth/login", BOB)
        assert (await browser.session())["user"]["email"] == BOB
        await closes(socket)


async def test_another_browser_of_the_person_takes_nothing_over(world: World) -> None:
    one, two = world.browser(), world.browser()
    await one.sign_in()
    await two.sign_in()
    async with socket_to(world, one) as socket:
        await one.sign_out()
        await closes(socket)
    assert (await two.fetch("/api/x")).status_code == 200


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
    assert "sign-ins in progress were deleted" in problem.json()["detail"]
    assert problem.headers.get_list("set-cookie") == refused.headers.get_list("set-cookie")
    assert cookie_of(browser) in line
    nothing = await browser.http.get(f"{world.public_url}/api/x", headers={"x": "y" * 40000})
    assert (nothing.status_code, nothing.headers.get_list("set-cookie")) == (431, [])
