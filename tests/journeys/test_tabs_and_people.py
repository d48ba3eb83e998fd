"""Several tabs, several sign-ins, several people in one browser: nobody gets another's state, nobody meets an error."""

from tests.journeys.attack_cases import case
from tests.journeys.http_browser import Browser
from tests.journeys.pages import error_page, set_cookies
from tests.journeys.test_callback_answers import parameters
from tests.journeys.world import World

BOB = "bob@example.com"


def login_cookies(browser: Browser) -> set[str]:
    return {name for name in browser.cookie_names() if name.startswith("bff-login-")}


async def families(world: World) -> dict[str, str | None]:
    """How each person's sign-ins ended at the provider, once what is under way is done."""
    await world.settled()
    return {family["sub"]: family["revoked"] for family in world.okta.control.state()["families"]}


# --- tabs ------------------------------------------------------------------------------------------------------------


@case("AZ-041")
async def test_two_tabs_whose_answers_cross_both_arrive_where_they_wanted(world: World, attack: str) -> None:
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
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
    browser.drop("bff-browser")
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")


async def test_the_sixth_sign_in_under_way_drops_the_oldest(world: World) -> None:
    browser = world.browser()
    begun = []
    for number in range(6):
        begun.append(await browser.begin(f"/{number}"))
        world.advance(1)
    assert len(login_cookies(browser)) == 5
    oldest, newest = begun[0], begun[-1]
    first = await browser.at_provider(oldest)
    assert error_page(await browser.arrive(first)) == (400, "sign_in_state_invalid")
    last = await browser.at_provider(newest)
    assert (await browser.arrive(last)).headers["location"] == "/5"
    # And now that somebody is signed in, the first tab is sent on.
    assert (await browser.arrive(first)).status_code == 303


async def test_sign_ins_that_nobody_finished_are_cleared_away(world: World) -> None:
    browser = world.browser()
    for _ in range(3):
        await browser.begin()
    world.advance(601)
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
