"""Sign-ins that another site begins: a tile in Okta's dashboard, and a hostile page that begins many.

None locks anybody out, nor uses up what our own pages need, nor ends anything that is open (test_open_streams.py).
"""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from bff.session.login_transaction import SLOTS
from bff.web.cookies import ALL_COOKIES_BYTES
from tests.harness.http_browser import Browser
from tests.harness.pages import error_page, parameters, set_cookies
from tests.harness.world import World, small_world

EVIL = "https://evil.example"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path, acr_values="phr") as world:
        yield world


def cookie_line(browser: Browser) -> str:
    """The Cookie line that a browser would send, with the names as they are on https."""
    return "; ".join(
        f"{name.replace('bff-', '__Host-Http-')}={browser.cookie(name)}" for name in sorted(browser.cookie_names())
    )


# --- a tile in the dashboard: Okta's Initiate login URI --------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_tile_in_the_dashboard_signs_in(world: World, method: str) -> None:
    """Okta names its org URL as `iss`, also where the app's issuer is a custom authorization server."""
    for iss in (world.okta.issuer, world.okta.org_issuer, world.okta.org_issuer + "/"):
        asked = {"iss": iss, "target_link_uri": f"{world.public_url}/orders?page=2"}
        browser = world.browser()
        if method == "GET":
            page = await browser.navigate(f"/auth/login?{urlencode(asked)}", initiator=world.okta.base_url)
        else:
            posted = await browser.submit("/auth/login", asked, initiator=world.okta.base_url, follow=False)
            assert (posted.status_code, set_cookies(posted)) == (303, {}), "a form of another site sets no cookie"
            assert posted.headers["location"] == "/auth/login?return_to=%2Forders%3Fpage%3D2"
            page = await browser.navigate(posted.headers["location"], initiator=world.okta.base_url)
        arrived = await browser.fill_in(page)
        assert str(arrived.url) == f"{world.public_url}/orders?page=2"
        assert (await browser.session())["authenticated"] is True


async def test_a_callback_without_an_answer_begins_a_sign_in(world: World) -> None:
    """Okta's guide to self-registration has administrators point the Initiate login URI at the callback."""
    for query in ("", f"?{urlencode({'iss': world.okta.org_issuer})}"):
        browser = world.browser()
        page = await browser.navigate(world.callback + query, initiator=world.okta.base_url)
        assert str((await browser.fill_in(page)).url) == f"{world.public_url}/"
        assert (await browser.session())["authenticated"] is True


@pytest.mark.parametrize("path", ["/auth/login", "/authorization-code/callback"])
async def test_a_tile_of_another_provider_is_refused(world: World, path: str) -> None:
    host = urlsplit(world.okta.issuer).netloc
    for iss in (EVIL, f"https://{host}", f"http://{host}.evil.example", f"http://{host}@evil.example"):
        refused = await world.browser().navigate(f"{path}?{urlencode({'iss': iss})}", initiator=EVIL)
        assert error_page(refused) == (400, "invalid_request"), iss
        assert set_cookies(refused) == {}


async def test_a_foreign_target_link_uri_leads_to_the_landing_page(world: World) -> None:
    elsewhere = ["https://evil.example/", "//evil.example", f"{world.public_url}.evil.example/", "javascript:alert(1)"]
    elsewhere += [f"{world.public_url}@evil.example/", "/auth/logout", "/authorization-code/callback?code=x"]
    for target in elsewhere:
        browser = world.browser()
        asked = urlencode({"iss": world.okta.org_issuer, "target_link_uri": target})
        arrived = await browser.fill_in(await browser.navigate(f"/auth/login?{asked}"))
        assert str(arrived.url) == f"{world.public_url}/", target


# --- forms -----------------------------------------------------------------------------------------------------------


async def test_many_forms_leave_sixteen_small_cookies_at_most(world: World) -> None:
    browser = await world.signed_in()
    browser.forget()  # signed out at the provider, so that no sign-in is completed there
    for number in range(2 * SLOTS):
        asked = {"target_link_uri": f"{world.public_url}/{number}?" + "x" * 2000}
        await browser.submit("/auth/login", asked, initiator=EVIL)
        world.advance(7)
    assert len(browser.login_cookies()) == SLOTS
    assert len(cookie_line(browser)) < ALL_COOKIES_BYTES
    assert (await browser.fetch("/api/x")).status_code == 200


async def test_a_form_with_wrong_parameters_is_refused_at_once(world: World) -> None:
    for asked in ({"iss": EVIL}, {"prompt": "consent"}, {"max_age": "x"}):
        refused = await world.browser().submit("/auth/login", asked, initiator=EVIL)
        assert error_page(refused) == (400, "invalid_request")
        assert refused.request.method == "POST"


async def test_a_login_hint_reaches_the_provider_and_no_address_and_no_log_of_ours(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hint = "zoë.hint@example.com"
    browser = world.browser()

    async def hint_sent(query: str) -> str | None:
        begun = await browser.navigate(f"/auth/login?{query}", initiator=EVIL, follow=False)
        return parameters(begun.headers["location"]).get("login_hint")

    with caplog.at_level(logging.DEBUG):
        posted = await browser.submit("/auth/login", {"login_hint": hint}, initiator=EVIL, follow=False)
        sent = parameters(posted.headers["location"])
        assert set(sent) == {"return_to", "sealed_hint"}
        assert "hint@" not in posted.headers["location"].replace("%40", "@")
        assert await hint_sent(urlencode(sent)) == hint
        await browser.navigate(f"/auth/login?{urlencode({'login_hint': hint, 'prompt': 'no such'})}")  # is logged
    ours = [str(vars(record)) for record in caplog.records if record.name.startswith("bff")]
    assert ours
    assert not [line for line in ours if re.search(r"zo(ë|%C3)|hint(@|%40)", line)]
    # Whoever finds the address written down somewhere learns nothing from it a minute later.
    world.advance(62)
    assert await hint_sent(urlencode(sent)) is None
    for bent in ("x", "A" * 100, sent["sealed_hint"][:-2]):
        assert await hint_sent(urlencode({"sealed_hint": bent})) is None
    for plain in ("bob@example.com", 'a"b&prompt=none'):
        assert await hint_sent(urlencode({"login_hint": plain})) == plain
    for useless in ("x" * 255, "two\r\nlines"):
        assert await hint_sent(urlencode({"login_hint": useless})) is None


# --- loops, and too many cookies -------------------------------------------------------------------------------------


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


async def test_headers_that_are_too_large_cost_the_sign_ins_under_way_and_no_session(world: World) -> None:
    browser = await world.signed_in()
    await browser.begin()
    line = "; ".join(f"{name}={browser.cookie(name)}" for name in browser.cookie_names())
    line += "".join(f"; bff-login-{number:022d}={'x' * 2600}" for number in range(13))
    headers = {"cookie": line, "accept": "text/html", "sec-fetch-mode": "navigate"}
    refused = await browser.http.get(f"{world.public_url}/orders", headers=headers)
    assert error_page(refused) == (431, "headers_too_large")
    assert "have been deleted" in re.sub(r"\s+", " ", refused.text)
    cleared = set_cookies(refused)
    assert cleared.keys() >= {"bff-attempts", *(f"bff-login-{number:022d}" for number in range(13))}
    assert not {"bff-session", "bff-browser"} & cleared.keys()
    assert all("Max-Age=0" in each for each in cleared.values())
    problem = await browser.http.get(f"{world.public_url}/api/x", headers={"cookie": line})
    assert problem.json()["code"] == "headers_too_large"
    assert "sign-ins in progress were deleted" in problem.json()["detail"]
    assert set_cookies(problem) == cleared
    without = await browser.http.get(f"{world.public_url}/api/x", headers={"x": "y" * 40000})
    assert (without.status_code, set_cookies(without)) == (431, {})
