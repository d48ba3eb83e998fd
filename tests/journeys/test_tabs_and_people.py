"""Several tabs, several sign-ins, several people in one browser: nobody gets another's state, nobody meets an error."""

import asyncio

import pytest

from bff.session.login_transaction import SLOTS, slot_of
from bff.web.cookies import ALL_COOKIES_BYTES
from tests.harness.http_browser import Browser
from tests.harness.pages import error_page, parameters, set_cookies
from tests.harness.world import World

BOB = "bob@example.com"


def login_cookies(browser: Browser) -> set[str]:
    return {name for name in browser.cookie_names() if name.startswith("bff-login-")}


async def families(world: World) -> dict[str, str | None]:
    """How each person's sign-ins ended at the provider, once what is under way is done."""
    await world.settled()
    return {family["sub"]: family["revoked"] for family in world.okta.control.state()["families"]}


# --- tabs ------------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-041")
async def test_two_tabs_whose_answers_cross_both_arrive_where_they_wanted(world: World) -> None:
    browser = world.browser()
    one, two = await browser.begin("/one"), await browser.begin("/two")
    answer_one = await browser.at_provider(one)
    answer_two = await browser.at_provider(two)
    assert parameters(answer_one)["state"] != parameters(answer_two)["state"]
    assert (await browser.arrive(answer_two)).headers["location"] == "/two"
    assert (await browser.arrive(answer_one)).headers["location"] == "/one"
    assert (await browser.session())["authenticated"] is True
    assert login_cookies(browser) == set()
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
    browser.drop(next(iter(login_cookies(browser))))
    await browser.sign_in()
    arrived = await browser.arrive(answer)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/lost")
    browser.drop("bff-browser")
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")


async def test_ten_tabs_that_are_restored_at_once_all_arrive_where_they_wanted(world: World) -> None:
    """Their requests leave together, so none of them brings the login cookies of the others."""
    browser = world.browser()
    begun = await asyncio.gather(*(browser.begin(f"/{number}") for number in range(10)))
    assert len(login_cookies(browser)) == 10
    answers = [await browser.at_provider(url) for url in begun]
    arrived = [(await browser.arrive(answer)).headers["location"] for answer in reversed(answers)]
    assert arrived == [f"/{number}" for number in reversed(range(10))]
    assert login_cookies(browser) == set()


async def test_a_thousand_sign_ins_fill_sixteen_small_cookies(world: World) -> None:
    browser = world.browser()
    for number in range(3 * SLOTS):
        await browser.begin(f"/{number}?" + "x" * 1000)
        world.advance(7)
    assert len(login_cookies(browser)) == SLOTS
    await browser.arrive(await browser.until_callback(return_to="/"))
    await browser.begin()
    line = "; ".join(f"{name}={browser.cookie(name)}" for name in browser.cookie_names())
    # `__Host-Http-` is longer than the prefix here.
    longest = len(line) + len(browser.cookie_names()) * (len("__Host-Http-") - len("bff-"))
    assert longest < ALL_COOKIES_BYTES


async def test_a_sign_in_that_lost_its_cookie_to_a_newer_one_begins_again_by_itself(world: World) -> None:
    browser = world.browser()
    begun = []
    for number in range(SLOTS + 1):
        begun.append(await browser.begin(f"/{number}"))
        world.advance(7)
    oldest, newest = begun[0], begun[-1]
    slots = [slot_of(parameters(url)["state"].partition(".")[0]) for url in begun]
    assert len(set(slots)) == SLOTS
    assert slots[0] == slots[-1]
    lost = await browser.arrive(await browser.at_provider(oldest))
    assert lost.status_code == 303
    assert lost.headers["location"].startswith(world.okta.base_url)
    assert world.okta.control.token_requests == 0
    # The newer one's cookie was left alone.
    assert (await browser.arrive(await browser.at_provider(newest))).headers["location"] == f"/{SLOTS}"
    again = await browser.arrive(await browser.at_provider(lost.headers["location"]))
    assert again.headers["location"] == "/0"


async def test_it_does_not_begin_again_for_ever(world: World) -> None:
    browser = world.browser()
    url = await browser.begin("/wanted")
    other: Browser = world.browser()
    for turn in range(3):
        slot = slot_of(parameters(url)["state"].partition(".")[0])
        answer = await browser.at_provider(url)
        taken = None
        while taken != slot:
            world.advance(7)
            taken = slot_of(parameters(await other.begin())["state"].partition(".")[0])
        browser.plant(f"bff-login-{slot:x}", str(other.cookie(f"bff-login-{slot:x}")))
        arrived = await browser.arrive(answer)
        if turn < 2:
            url = arrived.headers["location"]
    assert error_page(arrived) == (403, "sign_in_refused")
    assert world.okta.control.token_requests == 0


async def test_cookies_of_the_version_before_are_deleted(world: World) -> None:
    browser = world.browser()
    browser.plant("bff-login-AAAAAAAAAAAAAAAAAAAAAA", "x" * 600)
    browser.plant("bff-login-y", "x")
    await browser.begin()
    assert len(login_cookies(browser)) == 1


async def test_a_login_cookie_that_came_twice_or_is_garbage_signs_nobody_in(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    name = next(iter(login_cookies(browser)))
    genuine = browser.cookie(name)
    for line in (f"{name}={genuine}; {name}={genuine}", f"{name}=garbage", f"{name}="):
        headers = {"cookie": line, "sec-fetch-mode": "navigate"}
        assert error_page(await browser.http.get(answer, headers=headers)) == (400, "sign_in_state_invalid")
    assert world.okta.control.token_requests == 0
    browser.plant(name, str(genuine))
    assert (await browser.arrive(answer)).status_code == 303


# --- people ----------------------------------------------------------------------------------------------------------


async def test_signing_in_again_changes_the_session_and_ends_the_first_one(world: World) -> None:
    """Session fixation: whatever cookie a browser brought, it leaves with a new one."""
    browser = world.browser()
    await browser.sign_in()
    first = browser.cookie("bff-session")
    await browser.sign_in()
    assert browser.cookie("bff-session") not in (None, first)
    assert len(world.okta.control.state()["families"]) == 2
    await world.settled()
    ended = [family["revoked"] for family in world.okta.control.state()["families"]]
    assert ended == ["revoked by the client", None]


async def test_a_planted_session_cookie_does_not_survive_the_sign_in(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    await attacker.sign_in(BOB)
    planted = attacker.cookie("bff-session")
    assert planted is not None
    victim.plant("bff-session", planted)
    answer = await victim.until_callback()
    arrived = await victim.arrive(answer)
    assert set_cookies(arrived)["bff-session"].split(";")[0] != f"bff-session={planted}"
    assert (await attacker.session())["user"]["email"] == BOB  # and cannot be ended by it either


async def test_another_person_in_the_same_browser_ends_the_first_ones_session(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    alices = browser.cookie("bff-session")
    browser.forget()  # Alice signed out at the provider only
    await browser.sign_in(BOB)
    assert (await browser.session())["user"]["email"] == BOB
    ended = await families(world)
    assert ended["00u1aliceliddell0001"] == "revoked by the client"
    assert ended["00u2bobcratchit00002"] is None

    old = world.browser()
    assert alices is not None
    old.plant("bff-session", alices)
    assert (await old.fetch("/api/x")).status_code == 401
    assert await old.session() == {"authenticated": False, "reason": "replaced"}
    assert await old.session() == {"authenticated": False, "reason": None}
    assert (await browser.session())["user"]["email"] == BOB


async def test_nobody_is_told_of_an_end_that_came_before_they_signed_in(world: World) -> None:
    """The reason says why the *last* session ended: a browser that was closed since has lost its cookie, no more."""
    browser = world.browser()
    await browser.sign_in()
    browser.forget()
    await browser.sign_in(BOB)
    browser.drop("bff-session")
    assert await browser.session() == {"authenticated": False, "reason": None}

    world.advance(3601)
    assert (await browser.fetch("/api/x")).status_code == 401
    await browser.sign_in()
    browser.drop("bff-session")
    assert await browser.session() == {"authenticated": False, "reason": None}


async def test_two_browsers_of_one_person_have_two_sessions(world: World) -> None:
    one, two = world.browser(), world.browser()
    await one.sign_in()
    await two.sign_in()
    await one.sign_out()
    assert (await one.session())["authenticated"] is False
    assert (await two.fetch("/api/x")).status_code == 200
