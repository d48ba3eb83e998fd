"""What a link may ask of a sign-in: silence, a fresh password, another identity provider; and sign-in loops."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from demo.simulator.grants import RotationPolicy
from tests.harness.pages import error_page, parameters, set_cookies, try_again
from tests.harness.world import World, small_world

BOB = "bob@example.com"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    rotation = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=rotation, allowed_idps="0oaidp1 0oaidp2", acr_values="phr") as world:
        yield world


# --- the silent check ------------------------------------------------------------------------------------------------


async def test_a_silent_check_that_finds_nobody_goes_on_to_the_page_without_an_error(world: World) -> None:
    browser = world.browser()
    arrived = await browser.navigate("/auth/login?prompt=none&return_to=/orders%3Fpage%3D2")
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"
    assert [urlsplit(str(seen.url)).path for seen in browser.seen] == [
        "/auth/login",
        "/oauth2/default/v1/authorize",
        "/authorization-code/callback",
        "/orders",
    ]
    assert await browser.session() == {"authenticated": False, "reason": None}
    assert browser.login_cookies() == {}
    assert world.okta.control.token_requests == 0


async def test_a_silent_check_signs_in_who_is_known_at_the_provider(world: World) -> None:
    browser = await world.signed_in()
    await browser.sign_out()
    await browser.navigate("/auth/login?prompt=none")
    assert (await browser.session())["user"]["email"] == "alice@example.com"


async def test_a_silent_check_leaves_a_session_as_it_was_when_the_provider_knows_nobody(world: World) -> None:
    browser = await world.signed_in()
    cookie = browser.cookie("bff-session")
    browser.forget()  # the provider's session is over, ours is not
    arrived = await browser.navigate("/auth/login?prompt=none&return_to=/orders")
    assert urlsplit(str(arrived.url)).path == "/orders"
    assert browser.cookie("bff-session") == cookie
    world.advance(301)
    assert (await browser.fetch("/api/x")).status_code == 200  # its refresh token too
    assert world.revoked == [None]


async def test_whatever_keeps_the_provider_from_a_silent_answer_shows_no_error_page(world: World) -> None:
    browser = world.browser()

    async def answered(error: str) -> str:
        begun = await browser.navigate("/auth/login?prompt=none&return_to=/orders", follow=False)
        return f"{world.callback}?error={error}&state={parameters(begun.headers['location'])['state']}"

    for error in ("interaction_required", "consent_required", "access_denied", "server_error"):
        arrived = await browser.arrive(await answered(error))
        assert (arrived.status_code, arrived.headers["location"]) == (303, "/orders")
    # A mistake in the request is the operator's to see, though.
    assert error_page(await browser.arrive(await answered("invalid_scope"))) == (502, "sign_in_failed")

    answer = await answered("login_required")
    ((name, kept),) = browser.login_cookies().items()
    assert (await browser.arrive(answer)).headers["location"] == "/orders"
    browser.plant(name, kept)
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid"), "it is good once"


async def test_a_silent_check_goes_on_to_the_page_while_the_provider_is_away(world: World) -> None:
    await world.okta.control.down()
    await world.restart()
    arrived = await world.browser().navigate("/auth/login?prompt=none&return_to=/orders", follow=False)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/orders")


# --- asking again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["alice@example.com", BOB])
async def test_prompt_login_asks_for_the_password_and_replaces_the_session_only_then(world: World, login: str) -> None:
    browser = await world.signed_in()
    first = browser.cookie("bff-session")
    page = await browser.navigate("/auth/login?prompt=login&return_to=/orders")
    assert 'name="password"' in page.text
    assert (await browser.fetch("/api/x")).status_code == 200  # nothing has ended while the page is open
    assert browser.cookie("bff-session") == first
    await browser.fill_in(page, login)
    assert browser.cookie("bff-session") != first
    await world.settled()
    assert world.revoked == ["revoked by the client", None]
    assert (await browser.session())["user"]["email"] == login
    assert (await browser.fetch("/api/x")).status_code == 200


async def test_a_step_up_that_is_refused_leaves_the_session_and_the_page_leads_back(world: World) -> None:
    browser = await world.signed_in()
    cookie = browser.cookie("bff-session")
    refused = await browser.navigate("/auth/login?acr_values=phr&return_to=/orders")
    assert error_page(refused) == (403, "sign_in_refused")
    assert browser.cookie("bff-session") == cookie
    assert try_again(refused) == "/auth/login?return_to=/orders&acr_values=phr"
    assert 'href="/orders"' in refused.text
    world.advance(301)
    assert (await browser.fetch("/api/x")).status_code == 200
    assert world.revoked == [None]


NOT_OFFERED = (
    "prompt=consent",
    "prompt=none%20login",
    "prompt=none&max_age=0",
    "prompt=create",
    "prompt=login&prompt=none",
    "idp=0oaother",
    "idp=0oaidp1%200oaidp2",
    "max_age=0x1",
    "max_age=-1",
    "max_age=1e3",
    "max_age=%D9%A1",
    "acr_values=urn:okta:loa:2fa:any",
    "acr_values=urn:okta:loa:2fa:any%20phr",
)


async def test_options_that_are_not_offered_are_refused_and_those_that_are_go_to_the_provider(world: World) -> None:
    browser = world.browser()
    for query in NOT_OFFERED:
        refused = await browser.navigate(f"/auth/login?{query}")
        assert error_page(refused) == (400, "invalid_request"), query
        assert set_cookies(refused) == {}
    asked = "prompt=login&idp=0oaidp2&login_hint=zo%C3%AB@example.com&scope=admin&redirect_uri=https://evil.example"
    begun = await browser.navigate(f"/auth/login?{asked}", follow=False)
    sent = parameters(begun.headers["location"])
    assert (sent["prompt"], sent["idp"], sent["login_hint"]) == ("login", "0oaidp2", "zoë@example.com")
    assert (sent["scope"], sent["redirect_uri"]) == ("openid profile email offline_access", world.callback)


# --- loops -----------------------------------------------------------------------------------------------------------


async def test_a_sign_in_loop_is_stopped_by_a_page(world: World) -> None:
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
    # Other people's browsers are not meant, not even one with this one's cookie, and this one may go on after a while.
    victim = world.browser()
    victim.plant("bff-attempts", str(browser.cookie("bff-browser")))
    for value in ("AAAA", "x" * 120, "."):
        assert (await victim.navigate("/auth/login", follow=False)).status_code == 303
        victim.plant("bff-attempts", value)
    world.advance(61)
    await browser.sign_in()
    assert (await browser.session())["authenticated"] is True


async def test_sign_ins_at_a_human_pace_are_never_stopped(world: World) -> None:
    browser = world.browser()
    for number in range(25):
        page = await browser.navigate(f"/auth/login?return_to=/{number}", follow=False)
        assert page.status_code == 303, number
        world.advance(7)
