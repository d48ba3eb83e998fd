"""What a link may ask of a sign-in: silence, a fresh password, another identity provider. And not for ever again."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.pages import error_page, parameters, set_cookies, try_again, with_parameters
from tests.harness.world import World, small_world

BOB = "bob@example.com"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    rotation = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=rotation, allowed_idps="0oaidp1 0oaidp2", acr_values="phr") as world:
        yield world


def path_of(url: object) -> str:
    return urlsplit(str(url)).path


# --- the silent check ------------------------------------------------------------------------------------------------


async def test_a_silent_check_that_finds_nobody_goes_on_to_the_page_without_an_error(world: World) -> None:
    browser = world.browser()
    arrived = await browser.navigate("/auth/login?prompt=none&return_to=/orders%3Fpage%3D2")
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"
    assert [path_of(seen.url) for seen in browser.seen] == [
        "/auth/login",
        "/oauth2/default/v1/authorize",
        "/authorization-code/callback",
        "/orders",
    ]
    assert await browser.session() == {"authenticated": False, "reason": None}
    assert not any(name.startswith("bff-login-") for name in browser.cookie_names())
    assert world.okta.control.token_requests == 0


async def test_a_silent_check_signs_in_who_is_known_at_the_provider(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    await browser.sign_out()
    assert not (await browser.session())["authenticated"]
    await browser.navigate("/auth/login?prompt=none")
    assert (await browser.session())["user"]["email"] == "alice@example.com"


async def test_a_silent_check_leaves_a_session_as_it_was_when_the_provider_knows_nobody(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    cookie = browser.cookie("bff-session")
    browser.forget()  # the provider's session is over, ours is not
    arrived = await browser.navigate("/auth/login?prompt=none&return_to=/orders")
    assert path_of(arrived.url) == "/orders"
    assert browser.cookie("bff-session") == cookie
    world.advance(301)
    assert (await browser.fetch("/api/x")).status_code == 200  # its refresh token too
    assert [family["revoked"] for family in world.okta.control.state()["families"]] == [None]


@pytest.mark.parametrize("error", ["interaction_required", "consent_required", "access_denied", "server_error"])
async def test_whatever_keeps_the_provider_from_a_silent_answer_is_no_page(world: World, error: str) -> None:
    browser = world.browser()
    begun = await browser.navigate("/auth/login?prompt=none&return_to=/orders", follow=False)
    state = parameters(begun.headers["location"])["state"]
    answered = await browser.arrive(f"{world.callback}?error={error}&state={state}")
    assert (answered.status_code, answered.headers["location"]) == (303, "/orders")
    # A mistake in the request is the operator's to see, though.
    begun = await browser.navigate("/auth/login?prompt=none&return_to=/orders", follow=False)
    state = parameters(begun.headers["location"])["state"]
    refused = await browser.arrive(f"{world.callback}?error=invalid_scope&state={state}")
    assert error_page(refused) == (502, "sign_in_failed")


async def test_a_silent_check_goes_on_to_the_page_while_the_provider_is_away(world: World) -> None:
    await world.okta.control.down()
    await world.restart()
    browser = world.browser()
    arrived = await browser.navigate("/auth/login?prompt=none&return_to=/orders", follow=False)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/orders")


# --- asking again ----------------------------------------------------------------------------------------------------


async def test_prompt_login_asks_who_is_known_already_and_replaces_the_session_only_then(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    first = browser.cookie("bff-session")
    page = await browser.navigate("/auth/login?prompt=login&return_to=/orders")
    assert 'name="password"' in page.text
    assert (await browser.fetch("/api/x")).status_code == 200  # nothing has ended while the page is open
    assert browser.cookie("bff-session") == first
    await browser.fill_in(page)
    assert browser.cookie("bff-session") != first
    await world.settled()
    assert [f["revoked"] for f in world.okta.control.state()["families"]] == ["revoked by the client", None]
    assert (await browser.fetch("/api/x")).status_code == 200


async def test_another_person_at_a_step_up_ends_the_first_ones_session(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    page = await browser.navigate("/auth/login?prompt=login")
    await browser.fill_in(page, BOB)
    await world.settled()
    assert (await browser.session())["user"]["email"] == BOB
    assert [f["revoked"] for f in world.okta.control.state()["families"]] == ["revoked by the client", None]


async def test_a_step_up_that_is_refused_leaves_the_session_and_the_page_leads_back(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    cookie = browser.cookie("bff-session")
    refused = await browser.navigate("/auth/login?acr_values=phr&return_to=/orders")
    assert error_page(refused) == (403, "sign_in_refused")
    assert browser.cookie("bff-session") == cookie
    assert try_again(refused) == "/auth/login?return_to=/orders&acr_values=phr"
    assert 'href="/orders"' in refused.text
    world.advance(301)
    assert (await browser.fetch("/api/x")).status_code == 200
    assert [f["revoked"] for f in world.okta.control.state()["families"]] == [None]


@pytest.mark.parametrize(
    "query",
    [
        *(
            "prompt=consent",
            "prompt=none%20login",
            "prompt=none&max_age=0",
            "prompt=create",
            "prompt=login&prompt=none",
        ),
        *("idp=0oaother", "idp=0oaidp1%200oaidp2", "max_age=0x1"),
    ],
)
async def test_what_is_not_offered_is_refused_before_anybody_is_sent_anywhere(world: World, query: str) -> None:
    browser = world.browser()
    refused = await browser.navigate(f"/auth/login?{query}")
    assert error_page(refused) == (400, "invalid_request")
    assert set_cookies(refused) == {}


async def test_what_is_offered_goes_to_the_provider_and_nothing_else(world: World) -> None:
    browser = world.browser()
    asked = "prompt=login&idp=0oaidp2&login_hint=zo%C3%AB@example.com&scope=admin&redirect_uri=https://evil.example"
    begun = await browser.navigate(f"/auth/login?{asked}", follow=False)
    sent = parameters(begun.headers["location"])
    assert (sent["prompt"], sent["idp"], sent["login_hint"]) == ("login", "0oaidp2", "zoë@example.com")
    assert (sent["scope"], sent["redirect_uri"]) == ("openid profile email offline_access", world.callback)


# --- round and round -------------------------------------------------------------------------------------------------


async def test_a_browser_that_goes_round_in_circles_is_stopped_by_a_page(world: World) -> None:
    """The commonest loop: every sign-in succeeds, and the application sends the person back at once."""
    browser = world.browser()
    for _ in range(10):
        page = await browser.navigate("/auth/login?return_to=/orders", follow=False)
        assert page.status_code == 303
        await browser.arrive(await browser.at_provider(page.headers["location"]))
    asked = world.okta.control.token_requests
    for way in ("/auth/login?return_to=/orders", "/auth/login?prompt=none&return_to=/orders"):
        stopped = await browser.navigate(way)
        assert error_page(stopped) == (429, "sign_in_loop")
        assert 0 < int(stopped.headers["retry-after"]) <= 60
        assert set_cookies(stopped) == {}
        assert try_again(stopped) == "/auth/login?return_to=/orders"
    assert error_page(await browser.navigate("/authorization-code/callback")) == (429, "sign_in_loop")
    assert world.okta.control.token_requests == asked
    assert (await browser.fetch("/api/x")).status_code == 200  # it costs nobody the session
    # Other people's browsers are not meant, and this one is let through again after a while.
    assert (await world.browser().navigate("/auth/login", follow=False)).status_code == 303
    world.advance(61)
    await browser.sign_in()
    assert (await browser.session())["authenticated"] is True


async def test_the_count_cannot_be_made_or_changed_by_a_browser(world: World) -> None:
    browser = world.browser()
    for value in ("AAAA", "x" * 120, "."):
        browser.plant("bff-attempts", value)
        assert (await browser.navigate("/auth/login", follow=False)).status_code == 303
    victim: Browser = world.browser()
    victim.plant("bff-attempts", str(browser.cookie("bff-browser")))
    assert (await victim.navigate("/auth/login", follow=False)).status_code == 303


async def test_sign_ins_at_a_human_pace_are_never_stopped(world: World) -> None:
    browser = world.browser()
    for number in range(25):
        page = await browser.navigate(f"/auth/login?return_to={quote(f'/{number}')}", follow=False)
        assert page.status_code == 303, number
        world.advance(7)


async def test_an_answer_to_a_silent_check_is_good_once(world: World) -> None:
    browser = world.browser()
    begun = await browser.navigate("/auth/login?prompt=none&return_to=/orders", follow=False)
    answer = f"{world.callback}?error=login_required&state={parameters(begun.headers['location'])['state']}"
    login = next(name for name in browser.cookie_names() if name.startswith("bff-login-"))
    kept = str(browser.cookie(login))
    assert (await browser.arrive(answer)).headers["location"] == "/orders"
    browser.plant(login, kept)
    again = await browser.arrive(with_parameters(answer, error="login_required"))
    assert error_page(again) == (400, "sign_in_state_invalid")
