"""Several tabs, several sign-ins, several people in one browser: no mix-up, no error page."""

import asyncio

import pytest

from bff.web.auth.session import REASON_SHOWN
from tests.harness.pages import error_page, set_cookies
from tests.harness.world import World

BOB = "bob@example.com"
NOBODY = {"authenticated": False, "reason": None}


# --- tabs ------------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-041")
async def test_tabs_that_sign_in_at_once_and_cross_all_arrive_where_they_wanted(world: World) -> None:
    """Their requests leave together, as of restored tabs, so none of them brings the login cookies of the others."""
    browser = world.browser()
    begun = await asyncio.gather(*(browser.begin(f"/{number}") for number in range(10)))
    assert len(browser.login_cookies()) == 10
    answers = [await browser.at_provider(url) for url in begun]
    arrived = [(await browser.arrive(answer)).headers["location"] for answer in reversed(answers)]
    assert arrived == [f"/{number}" for number in reversed(range(10))]
    assert (await browser.session())["authenticated"] is True
    assert browser.login_cookies() == {}
    assert world.okta.control.violations == []


async def test_a_tab_that_comes_back_late_is_sent_on_to_its_page(world: World) -> None:
    """It waited at the provider for longer than a sign-in may take; meanwhile another tab signed in."""
    browser = world.browser()
    late = await browser.begin("/late?page=2")
    world.advance(590)
    await browser.sign_in(return_to="/early")
    session = browser.cookie("bff-session")
    answer = await browser.at_provider(late)
    world.advance(20)
    arrived = await browser.arrive(answer)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/late?page=2")
    assert browser.cookie("bff-session") == session
    assert world.okta.control.token_requests == 1


async def test_a_tab_whose_login_cookie_is_gone_is_sent_on_when_somebody_is_signed_in(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/lost")
    browser.drop(next(iter(browser.login_cookies())))
    await browser.sign_in()
    arrived = await browser.arrive(answer)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/lost")
    browser.drop("bff-browser")
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")


# --- people ----------------------------------------------------------------------------------------------------------


async def test_signing_in_again_changes_the_session_and_ends_the_first_one(world: World) -> None:
    """Session fixation: whatever cookie a browser brought, it leaves with a new one."""
    browser = await world.signed_in()
    first = browser.cookie("bff-session")
    await browser.sign_in()
    assert browser.cookie("bff-session") not in (None, first)
    assert await world.stored() is not None  # the only one
    await world.settled()
    assert world.revoked == [None, None], "elsewhere than at Okta's own hosts this could end the new session too"

    victim = world.browser()
    planted = str(browser.cookie("bff-session"))
    victim.plant("bff-session", planted)
    arrived = await victim.arrive(await victim.until_callback(BOB))
    assert set_cookies(arrived)["bff-session"].split(";")[0] != f"bff-session={planted}"
    assert (await browser.session())["user"]["email"] == "alice@example.com"  # and cannot be ended by it either


async def test_another_person_in_the_same_browser_ends_the_first_ones_session(world: World) -> None:
    browser, old = await world.signed_in(), world.browser()
    alices = str(browser.cookie("bff-session"))
    browser.forget()  # Alice signed out at the provider only
    await browser.sign_in(BOB)
    assert (await browser.session())["user"]["email"] == BOB
    await world.settled()
    assert world.revoked == ["revoked by the client", None]
    old.plant("bff-session", alices)
    assert (await old.fetch("/api/x")).status_code == 401
    for _ in range(2):  # the cookie stays: the one of Bob's session may have arrived meanwhile
        assert await old.session() == {"authenticated": False, "reason": "replaced"}
    world.advance(REASON_SHOWN + 1)
    assert await old.session() == NOBODY
    assert (await browser.session())["user"]["email"] == BOB


async def test_two_browsers_of_one_person_have_two_sessions(world: World) -> None:
    one, two = await world.signed_in(), await world.signed_in()
    await one.sign_out()
    assert (await one.session())["authenticated"] is False
    assert (await two.fetch("/api/x")).status_code == 200
