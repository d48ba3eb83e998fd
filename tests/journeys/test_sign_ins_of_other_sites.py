"""Sign-ins that another site begins: a tile in Okta's dashboard, and a hostile page that begins many.

None locks anybody out, nor uses up what our own pages need, nor ends anything that is open (test_open_streams.py).
"""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

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
