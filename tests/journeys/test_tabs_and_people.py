"""Several tabs, several sign-ins, several people in one browser: no mix-up, no error page."""

import asyncio

import pytest

from bff.session.login_transaction import SLOTS, slot_of
from tests.harness.pages import error_page, parameters, set_cookies
from tests.harness.world import World

BOB = "bob@example.com"
NOBODY = {"authenticated": False, "reason": None}


def slot(url: str) -> int:
    """Of the login cookie that belongs to this authorization request."""
    return slot_of(parameters(url)["state"].partition(".")[0])


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


async def test_a_sign_in_that_lost_its_cookie_to_a_newer_one_begins_again_by_itself(world: World) -> None:
    browser = world.browser()
    browser.plant("bff-login-AAAAAAAAAAAAAAAAAAAAAA", "x" * 600)  # of an older version: deleted
    begun = []
    for number in range(SLOTS + 1):
        begun.append(await browser.begin(f"/{number}"))
        world.advance(7)
    assert len(browser.login_cookies()) == len({slot(url) for url in begun}) == SLOTS
    assert slot(begun[0]) == slot(begun[-1])
    lost = await browser.arrive(await browser.at_provider(begun[0]))
    assert lost.status_code == 303
    assert lost.headers["location"].startswith(world.okta.base_url)
    assert world.okta.control.token_requests == 0
    # The newer one's cookie was left alone.
    assert (await browser.arrive(await browser.at_provider(begun[-1]))).headers["location"] == f"/{SLOTS}"
    again = await browser.arrive(await browser.at_provider(lost.headers["location"]))
    assert again.headers["location"] == "/0"


async def test_it_does_not_begin_again_for_ever(world: World) -> None:
    browser, other = world.browser(), world.browser()
    url = await browser.begin("/wanted")
    for turn in range(3):
        answer, taken = await browser.at_provider(url), None
        while taken != slot(url):
            world.advance(7)
            taken = slot(await other.begin())
        browser.plant(f"bff-login-{taken:x}", str(other.cookie(f"bff-login-{taken:x}")))
        arrived = await browser.arrive(answer)
        if turn < 2:
            url = arrived.headers["location"]
    assert error_page(arrived) == (403, "sign_in_refused")
    assert world.okta.control.token_requests == 0


# --- people ----------------------------------------------------------------------------------------------------------


async def test_signing_in_again_changes_the_session_and_ends_the_first_one(world: World) -> None:
    """Session fixation: whatever cookie a browser brought, it leaves with a new one."""
    browser = await world.signed_in()
    first = browser.cookie("bff-session")
    await browser.sign_in()
    assert browser.cookie("bff-session") not in (None, first)
    await world.settled()
    assert world.revoked == ["revoked by the client", None]

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
    assert await old.session() == {"authenticated": False, "reason": "replaced"}
    assert await old.session() == NOBODY
    assert (await browser.session())["user"]["email"] == BOB


async def test_an_end_that_came_before_the_sign_in_is_not_shown_after_it(world: World) -> None:
    """The reason says why the *last* session ended: a browser that was closed since has lost its cookie, no more."""
    browser = await world.signed_in()
    browser.forget()
    await browser.sign_in(BOB)
    browser.drop("bff-session")
    assert await browser.session() == NOBODY

    world.advance(3601)
    assert (await browser.fetch("/api/x")).status_code == 401
    await browser.sign_in()
    browser.drop("bff-session")
    assert await browser.session() == NOBODY


async def test_two_browsers_of_one_person_have_two_sessions(world: World) -> None:
    one, two = await world.signed_in(), await world.signed_in()
    await one.sign_out()
    assert (await one.session())["authenticated"] is False
    assert (await two.fetch("/api/x")).status_code == 200
