"""Forged, doubled, replayed, late and foreign answers at the callback; a bad one costs nobody anything."""

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from bff.session.login_transaction import slot_of
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.pages import error_page, parameters, set_cookies, try_again, with_parameters
from tests.harness.redis_servers import one_server
from tests.harness.world import World, small_world

STATE_INVALID = (400, "sign_in_state_invalid")
BOB = "bob@example.com"


async def assert_completes(world: World, browser: Browser, answer: str) -> None:
    """The honest answer of the same sign-in still works: a forged one used nothing up."""
    assert world.okta.control.token_requests == 0
    assert (await browser.arrive(answer)).status_code == 303
    assert (await browser.session())["authenticated"] is True
    assert world.okta.control.token_requests == 1


# --- state -----------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-001", "AZ-006", "AZ-009", "AZ-010", "AZ-011")
async def test_a_forged_answer_redeems_nothing_and_the_honest_one_still_completes(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    state, code = (parameters(answer)[name] for name in ("state", "code"))
    swapped = ("B" if state[0] != "B" else "C") + state[1:]
    last = state[:-1] + ("B" if state[-1] != "B" else "C")
    bent = (state + "x", state[:-1], state[1:], state + "=", " " + state, swapped, last, state.swapcase(), "x")
    forged = {with_parameters(answer, state=each): "sign_in_state_invalid" for each in bent}
    for name in ("state", "code", "iss", "error"):
        once_more = "" if name in parameters(answer) else f"&{name}=forged"
        forged[f"{answer}&{name}=forged{once_more}"] = "invalid_request"
        forged[answer.replace("?", f"?{name}=forged&", 1) + once_more] = "invalid_request"
    for changes in ({"state": None}, {"state": ""}, {"error": "access_denied"}):
        forged[with_parameters(answer, **changes)] = "invalid_request"
    for url, expected in forged.items():
        refused = await browser.arrive(url)
        assert error_page(refused) == (400, expected), url
        assert code not in refused.text
        assert "forged" not in refused.text
        assert set_cookies(refused) == {}
    await assert_completes(world, browser, answer)


async def test_an_answer_is_useless_in_another_browser(world: World) -> None:
    """Login CSRF: an attacker's own answer, opened by somebody else, signs nobody in as the attacker."""
    attacker, victim = world.browser(), world.browser()
    assert error_page(await victim.arrive(await attacker.until_callback(BOB))) == STATE_INVALID
    assert (await victim.session())["authenticated"] is False
    assert world.okta.control.token_requests == 0


async def test_a_login_cookie_that_came_twice_or_is_garbage_signs_nobody_in(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    ((name, genuine),) = browser.login_cookies().items()
    for line in (f"{name}={genuine}; {name}={genuine}", f"{name}=garbage", f"{name}="):
        headers = {"cookie": line, "sec-fetch-mode": "navigate"}
        assert error_page(await browser.http.get(answer, headers=headers)) == STATE_INVALID
    browser.plant(name, genuine)
    await assert_completes(world, browser, answer)


# --- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-014")
async def test_reload_and_back_button_redeem_nothing_twice(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders")
    ((name, spent),) = browser.login_cookies().items()
    assert (await browser.arrive(answer)).headers["location"] == "/orders"
    session = browser.cookie("bff-session")
    for _ in range(2):
        again = await browser.arrive(answer)
        assert again.status_code == 303, again.text
        assert urlsplit(again.headers["location"]).path in ("/", "/orders")
        assert "bff-session" not in set_cookies(again)
    assert browser.cookie("bff-session") == session
    assert (await browser.session())["authenticated"] is True

    await browser.sign_out()
    assert error_page(await browser.arrive(answer)) == STATE_INVALID
    browser.plant(name, spent)  # somebody kept the cookie: the answer was used up all the same
    refused = await browser.arrive(answer)
    assert error_page(refused) == STATE_INVALID
    assert try_again(refused) == "/auth/login?return_to=/orders"
    assert world.okta.control.token_requests == 1


@pytest.mark.case("AZ-015")
async def test_two_replicas_at_once_redeem_one_code_once(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world, world.replica() as replica:
            browser = world.browser()
            answer = await browser.until_callback()
            urls = (answer, answer.replace(world.public_url, replica))
            here, there = await asyncio.gather(*(browser.arrive(url) for url in urls))
            opened = [each for each in (here, there) if "bff-session" in set_cookies(each)]
            assert len(opened) == world.okta.control.token_requests == len(world.revoked) == 1
            assert (await browser.session())["authenticated"] is True
            # The slower one redirects to the page if the session was there already; otherwise it shows an error page.
            other = here if opened == [there] else there
            assert other.status_code == 303 or error_page(other) == STATE_INVALID


@pytest.mark.case("AZ-034")
async def test_an_error_uses_the_sign_in_up(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    ((name, kept),) = browser.login_cookies().items()
    denied = with_parameters(answer, code=None, error="access_denied")
    assert error_page(await browser.arrive(denied)) == (403, "sign_in_refused")
    assert browser.login_cookies() == {}
    assert error_page(await browser.arrive(answer)) == STATE_INVALID
    browser.plant(name, kept)
    assert error_page(await browser.arrive(answer)) == STATE_INVALID
    assert world.okta.control.token_requests == 0


# --- the issuer ------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-026")
async def test_an_answer_that_names_another_issuer_is_refused_before_the_code_leaves(world: World) -> None:
    browser = world.browser()
    for iss in ("https://evil.example", world.okta.issuer + "/", world.okta.org_issuer):
        answer = await browser.until_callback()
        assert error_page(await browser.arrive(f"{answer}&{urlencode({'iss': iss})}")) == STATE_INVALID
    answer = await browser.until_callback()
    await assert_completes(world, browser, f"{answer}&{urlencode({'iss': world.okta.issuer})}")


@pytest.mark.case("AZ-027")
async def test_a_provider_that_promises_iss_must_send_it(tmp_path: Path) -> None:
    promise = {"authorization_response_iss_parameter_supported": True}
    async with small_world(
        tmp_path,
        prepare=lambda okta: okta.control.fault("edit_answer", endpoint="openid-configuration", set=promise),
    ) as world:
        browser = world.browser()
        assert error_page(await browser.arrive(await browser.until_callback())) == STATE_INVALID
        answer = await browser.until_callback()
        await assert_completes(world, browser, f"{answer}&{urlencode({'iss': world.okta.issuer})}")


@pytest.mark.case("AZ-029")
async def test_a_sign_in_begun_at_one_issuer_is_not_finished_at_another(world: World) -> None:
    """One deployment has one issuer; an operator may change it while a sign-in is under way."""
    browser = world.browser()
    answer = await browser.until_callback()
    await world.restart(issuer=world.okta.org_issuer)
    assert error_page(await browser.arrive(answer)) == STATE_INVALID
    assert world.okta.control.token_requests == 0


# --- errors of the provider ------------------------------------------------------------------------------------------

PROVIDER_ERRORS = {
    (403, "sign_in_refused"): (
        "access_denied login_required consent_required interaction_required unmet_authentication_requirements "
        "mfa_required account_selection_required"
    ),
    (502, "sign_in_failed"): (
        "invalid_scope invalid_request unsupported_response_type unsupported_response_mode unauthorized_client "
        "invalid_request_object invalid_request_uri jit_failure_missing_fields callback_returned_error "
        "an-error-nobody-knows"
    ),
    (503, "provider_unavailable"): "server_error temporarily_unavailable",
}


@pytest.mark.case("AZ-032")
async def test_every_error_of_the_provider_becomes_a_page_with_a_way_on(world: World) -> None:
    """The provider's words are data: not shown, not linked, not followed."""
    browser = world.browser()
    for expected, errors in PROVIDER_ERRORS.items():
        for error in errors.split():
            world.advance(7)  # nobody tries again faster than that, twenty times
            state = parameters(await browser.begin("/orders?page=2"))["state"]
            hostile = {
                "error": error,
                "error_description": "<script>alert(1)</script>\r\nX-Injected: yes \x1b[2J",
                "error_uri": "https://evil.example/?explained",
                "state": state,
            }
            shown = await browser.arrive(f"{world.callback}?{urlencode(hostile)}")
            assert error_page(shown) == expected, error
            assert "alert(1)" not in shown.text
            assert "evil.example" not in shown.text
            assert "x-injected" not in shown.headers
            assert try_again(shown) == "/auth/login?return_to=/orders%3Fpage%3D2"
            assert list(set_cookies(shown)) == [f"bff-login-{slot_of(state.partition('.')[0]):x}"]
            assert ("retry-after" in shown.headers) is (expected[0] == 503)
    assert world.okta.control.token_requests == 0


async def test_the_log_holds_known_error_codes_and_nothing_else_of_the_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever opens the callback writes error and error_description; the provider's may quote what was typed."""
    browser = world.browser()
    with caplog.at_level(logging.DEBUG, "bff"):
        for error in ("access_denied", "canary-of-a-stranger", "x" * 128):
            state = parameters(await browser.begin())["state"]
            answer = {"error": error, "error_description": "canary: my password is hunter2", "state": state}
            await browser.arrive(f"{world.callback}?{urlencode(answer)}")
    ours = [vars(record) for record in caplog.records if record.name.startswith("bff")]
    assert [each["error"] for each in ours if "where" in each] == ["access_denied", "other", "other"]
    assert not [each for each in ours if "canary" in str(each) or "hunter2" in str(each) or "xxxx" in str(each)]


async def test_a_person_who_is_not_assigned_reads_whom_to_ask(world: World) -> None:
    browser = world.browser()
    shown = await browser.sign_in("mallory@example.com")
    assert error_page(shown) == (403, "not_assigned")
    assert "administrator" in shown.text
    assert (await browser.session())["authenticated"] is False


BAD_LINKS = (
    "error=access_denied",
    "error=access_denied&state=",
    "error=access_denied&state=forged",
    "error=login_required&error_description=x",
    "code=stolen",
    "code=stolen&state=forged",
    "state=forged",
    "code=a&code=b&state=c",
    "code=%ff&state=x",
    "id_token=a.b.c&state=x",
    "code=" + "x" * 5000 + "&state=x",
)


@pytest.mark.case("AZ-033", "AZ-035")
async def test_a_bad_link_to_the_callback_ends_nobodys_session(world: World) -> None:
    browser, attacker = await world.signed_in(), world.browser()
    cookies = {name: browser.cookie(name) for name in browser.cookie_names()}
    state = parameters(await attacker.begin())["state"]
    meant_for_the_attacker = (
        parameters(await attacker.until_callback(BOB)),
        {"error": "access_denied", "state": state},
    )
    for query in (*BAD_LINKS, *(urlencode(each) for each in meant_for_the_attacker)):
        shown = await browser.navigate(f"{world.callback}?{query}", initiator="https://evil.example", follow=False)
        assert shown.status_code in (400, 303), query
        assert "bff-session" not in set_cookies(shown)
        if query in BAD_LINKS:
            assert error_page(shown)[0] == 400
            assert set_cookies(shown) == {}
    assert {name: browser.cookie(name) for name in browser.cookie_names()} == cookies
    assert (await browser.session())["user"]["email"] == "alice@example.com"
    assert world.okta.control.token_requests == 1


# --- methods, prefetch, time -----------------------------------------------------------------------------------------


@pytest.mark.case("AZ-036", "AZ-051")
async def test_the_callback_is_read_from_a_get_and_redirects_are_303(world: World) -> None:
    browser = world.browser()
    started = await browser.submit("/auth/login", {"return_to": "/orders"}, follow=False)
    assert started.status_code == 303  # a POST begun elsewhere goes on as a GET: no body is carried to the provider
    assert set_cookies(started) == {}
    begun = await browser.navigate(started.headers["location"], follow=False)
    answer = await browser.at_provider(begun.headers["location"])
    posted = await browser.submit(world.callback, parameters(answer), follow=False)
    assert (error_page(posted), posted.headers["allow"]) == ((405, "method_not_allowed"), "GET")
    assert world.okta.control.token_requests == 0
    arrived = await browser.arrive(answer)
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/orders")
    assert arrived.headers["cache-control"] == "no-store"
    assert arrived.headers["referrer-policy"] == "no-referrer"


NOT_BY_A_PERSON = {
    "prefetch": {**NAVIGATION, "sec-purpose": "prefetch"},
    "prerender": {**NAVIGATION, "sec-purpose": "prefetch;prerender"},
    "prefetch of older browsers": {**NAVIGATION, "purpose": "prefetch"},
    "image": {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image", "sec-fetch-site": "cross-site"},
    "iframe": {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe", "sec-fetch-site": "cross-site"},
    "fetch": FETCH,
    "fetch with our header": {"x-csrf": "1"},
}


@pytest.mark.case("AZ-038", "AZ-053")
async def test_what_no_person_opened_leaves_no_sign_in_behind(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    before = browser.cookie_names()
    for name, headers in NOT_BY_A_PERSON.items():
        for url in (f"{world.public_url}/auth/login", world.callback, answer):
            refused = await browser.http.get(url, headers=headers)
            assert refused.status_code == 403, name
            assert "navigation_required" in refused.text
            assert set_cookies(refused) == {}
            assert "location" not in refused.headers
    assert browser.cookie_names() == before
    await assert_completes(world, browser, answer)


@pytest.mark.case("AZ-039")
async def test_a_sign_in_that_took_too_long_begins_again_once(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders?page=2")
    world.advance(301)  # a code of Okta's lives 300 s, the sign-in 600 s
    assert error_page(await browser.arrive(answer)) == (502, "sign_in_failed")
    answer = await browser.until_callback(return_to="/orders?page=2")
    world.advance(601)
    shown = await browser.arrive(answer)
    assert error_page(shown) == (400, "sign_in_expired")
    assert try_again(shown) == "/auth/login?return_to=/orders%3Fpage%3D2"
    arrived = await browser.navigate(try_again(shown), initiator=world.public_url)
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"
    assert (await browser.session())["authenticated"] is True
