"""What may come to the callback: forged, doubled, replayed, late and foreign answers. A bad one costs nobody anything.

The ids are those of `tests/attack_cases/authorize-callback.json`; `/auth/callback` there is our callback path.
"""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bff.session.login_transaction import slot_of
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.pages import error_page, set_cookies, try_again
from tests.harness.redis_servers import RedisServer, one_server
from tests.harness.world import World, small_world


def parameters(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def with_parameters(url: str, **changes: str | None) -> str:
    kept = {name: value for name, value in {**parameters(url), **changes}.items() if value is not None}
    return f"{url.partition('?')[0]}?{urlencode(kept)}"


async def still_completes(world: World, browser: Browser, answer: str) -> None:
    """The honest answer of the same sign-in is good as ever: a forged one burned nothing."""
    arrived = await browser.arrive(answer)
    assert arrived.status_code == 303
    assert (await browser.session())["authenticated"] is True
    assert world.okta.control.token_requests == 1


# --- state -----------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-001")
async def test_an_answer_without_state_redeems_nothing_and_shows_nothing_of_itself(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    for forged in (with_parameters(answer, state=None), with_parameters(answer, state="")):
        refused = await browser.arrive(forged)
        assert error_page(refused) == (400, "invalid_request")
        assert parameters(answer)["code"] not in refused.text
        assert set_cookies(refused) == {}
    assert world.okta.control.token_requests == 0
    await still_completes(world, browser, answer)


@pytest.mark.case("AZ-006")
async def test_a_state_is_believed_whole_or_not_at_all(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    state = parameters(answer)["state"]
    swapped = ("B" if state[0] != "B" else "C") + state[1:]
    last = state[:-1] + ("B" if state[-1] != "B" else "C")
    for forged in (state + "x", state[:-1], state[1:], state + "=", " " + state, swapped, last, state.swapcase(), "x"):
        refused = await browser.arrive(with_parameters(answer, state=forged))
        assert error_page(refused) == (400, "sign_in_state_invalid"), forged
    assert world.okta.control.token_requests == 0
    await still_completes(world, browser, answer)


@pytest.mark.case("AZ-009", "AZ-010")
@pytest.mark.parametrize("name", ["state", "code", "iss", "error"])
@pytest.mark.parametrize("good_first", [True, False], ids=["good-bad", "bad-good"])
async def test_a_parameter_that_came_twice_is_neither_the_first_nor_the_last(
    world: World, name: str, good_first: bool
) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    first, second = (f"{answer}&{name}=forged", answer.replace("?", f"?{name}=forged&", 1))
    twice = (first if good_first else second) + ("" if name in parameters(answer) else f"&{name}=forged")
    refused = await browser.arrive(twice)
    assert error_page(refused) == (400, "invalid_request")
    assert "forged" not in refused.text
    assert world.okta.control.token_requests == 0
    await still_completes(world, browser, answer)


@pytest.mark.case("AZ-011")
async def test_code_and_error_together_are_no_answer(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    refused = await browser.arrive(with_parameters(answer, error="access_denied"))
    assert error_page(refused) == (400, "invalid_request")
    assert world.okta.control.token_requests == 0
    await still_completes(world, browser, answer)


async def test_an_answer_is_useless_in_another_browser(world: World) -> None:
    """Login CSRF: an attacker's own answer, opened by somebody else, signs nobody in as the attacker."""
    attacker, victim = world.browser(), world.browser()
    answer = await attacker.until_callback("bob@example.com")
    refused = await victim.arrive(answer)
    assert error_page(refused) == (400, "sign_in_state_invalid")
    assert (await victim.session())["authenticated"] is False
    assert world.okta.control.token_requests == 0


# --- replay ----------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-014")
async def test_reload_and_back_button_redeem_nothing_twice(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders")
    assert (await browser.arrive(answer)).headers["location"] == "/orders"
    session = browser.cookie("bff-session")
    for _ in range(2):
        again = await browser.arrive(answer)
        assert again.status_code == 303, again.text
        assert urlsplit(again.headers["location"]).path in ("/", "/orders")
        assert "bff-session" not in set_cookies(again)
    assert world.okta.control.token_requests == 1
    assert browser.cookie("bff-session") == session
    assert (await browser.session())["authenticated"] is True


@pytest.mark.case("AZ-014")
async def test_a_replay_after_signing_out_offers_a_new_beginning(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    login = next(name for name in browser.cookie_names() if name.startswith("bff-login-"))
    spent = browser.cookie(login)
    await browser.arrive(answer)
    await browser.sign_out()
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
    assert spent is not None
    browser.plant(login, spent)  # somebody kept the cookie: the answer was used up all the same
    refused = await browser.arrive(answer)
    assert error_page(refused) == (400, "sign_in_state_invalid")
    assert try_again(refused) == "/auth/login?return_to=/"
    assert world.okta.control.token_requests == 1


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with one_server(tmp_path / "redis") as server:
        yield server


@pytest.mark.case("AZ-015")
async def test_two_replicas_at_once_redeem_one_code_once(tmp_path: Path, redis: RedisServer) -> None:
    async with small_world(tmp_path, store=redis.url) as world, world.replica() as replica:
        browser = world.browser()
        answer = await browser.until_callback()
        here, there = await asyncio.gather(
            browser.arrive(answer), browser.arrive(answer.replace(world.public_url, replica))
        )
        opened = [each for each in (here, there) if "bff-session" in set_cookies(each)]
        assert len(opened) == 1
        assert world.okta.control.token_requests == 1
        assert len(world.okta.control.state()["families"]) == 1
        assert (await browser.session())["authenticated"] is True
        # What the slower one answered: a redirect to the page if the session was there already, else a page.
        other = here if opened == [there] else there
        assert other.status_code == 303 or error_page(other) == (400, "sign_in_state_invalid")


@pytest.mark.case("AZ-034")
async def test_an_error_uses_the_sign_in_up(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    login = next(name for name in browser.cookie_names() if name.startswith("bff-login-"))
    kept = browser.cookie(login)
    denied = with_parameters(answer, code=None, error="access_denied")
    assert error_page(await browser.arrive(denied)) == (403, "sign_in_refused")
    assert login not in browser.cookie_names()
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
    assert kept is not None
    browser.plant(login, kept)
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
    assert world.okta.control.token_requests == 0


# --- the issuer ------------------------------------------------------------------------------------------------------


@pytest.mark.case("AZ-026")
async def test_an_answer_that_names_another_issuer_is_refused_before_the_code_leaves(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    for iss in ("https://evil.example", world.okta.issuer + "/", world.okta.org_issuer):
        assert error_page(await browser.arrive(f"{answer}&{urlencode({'iss': iss})}")) == (400, "sign_in_state_invalid")
        answer = await browser.until_callback()
    assert world.okta.control.token_requests == 0
    ours = await browser.arrive(f"{answer}&{urlencode({'iss': world.okta.issuer})}")
    assert ours.status_code == 303


@pytest.mark.case("AZ-027")
async def test_a_provider_that_promises_iss_must_send_it(tmp_path: Path) -> None:
    promise = {"authorization_response_iss_parameter_supported": True}
    async with small_world(
        tmp_path,
        prepare=lambda okta: okta.control.fault("edit_answer", endpoint="openid-configuration", set=promise),
    ) as world:
        browser = world.browser()
        answer = await browser.until_callback()
        assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
        assert world.okta.control.token_requests == 0
        answer = await browser.until_callback()
        assert (await browser.arrive(f"{answer}&{urlencode({'iss': world.okta.issuer})}")).status_code == 303


@pytest.mark.case("AZ-029")
async def test_a_sign_in_begun_at_one_issuer_is_not_finished_at_another(world: World) -> None:
    """One deployment has one issuer; two are met when an operator changes it under a sign-in that is under way."""
    browser = world.browser()
    answer = await browser.until_callback()
    await world.restart(issuer=world.okta.org_issuer)
    assert error_page(await browser.arrive(answer)) == (400, "sign_in_state_invalid")
    assert world.okta.control.token_requests == 0


# --- errors of the provider ------------------------------------------------------------------------------------------

# Every row of Okta's table of callback errors.
PROVIDER_ERRORS = {
    "access_denied": (403, "sign_in_refused"),
    "login_required": (403, "sign_in_refused"),
    "consent_required": (403, "sign_in_refused"),
    "interaction_required": (403, "sign_in_refused"),
    "unmet_authentication_requirements": (403, "sign_in_refused"),
    "mfa_required": (403, "sign_in_refused"),
    "account_selection_required": (403, "sign_in_refused"),
    "invalid_scope": (502, "sign_in_failed"),
    "invalid_request": (502, "sign_in_failed"),
    "unsupported_response_type": (502, "sign_in_failed"),
    "unsupported_response_mode": (502, "sign_in_failed"),
    "unauthorized_client": (502, "sign_in_failed"),
    "invalid_request_object": (502, "sign_in_failed"),
    "invalid_request_uri": (502, "sign_in_failed"),
    "server_error": (503, "provider_unavailable"),
    "temporarily_unavailable": (503, "provider_unavailable"),
    "jit_failure_missing_fields": (502, "sign_in_failed"),
    "callback_returned_error": (502, "sign_in_failed"),
    "an-error-nobody-knows": (502, "sign_in_failed"),
}


@pytest.mark.case("AZ-032")
async def test_every_error_of_the_provider_becomes_a_page_with_a_way_on(world: World) -> None:
    """The provider's words are data: not shown, not linked, not followed."""
    browser = world.browser()
    for error, expected in PROVIDER_ERRORS.items():
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


@pytest.mark.parametrize(
    ("error", "written"), [("access_denied", "access_denied"), ("canary-of-a-stranger", "other"), ("x" * 128, "other")]
)
async def test_the_log_holds_known_error_codes_and_nothing_else_of_the_answer(
    world: World, caplog: pytest.LogCaptureFixture, error: str, written: str
) -> None:
    """Whoever opens the callback writes error and error_description; the provider's may quote what was typed."""
    browser = world.browser()
    state = parameters(await browser.begin())["state"]
    answer = {"error": error, "error_description": "canary: my password is hunter2", "state": state}
    with caplog.at_level(logging.DEBUG, "bff"):
        await browser.arrive(f"{world.callback}?{urlencode(answer)}")
    ours = [vars(record) for record in caplog.records if record.name.startswith("bff")]
    assert [each["error"] for each in ours if "where" in each] == [written]
    assert not [each for each in ours if "canary" in str(each) or "hunter2" in str(each) or "xxxx" in str(each)]


async def test_somebody_who_is_not_assigned_is_told_whom_to_ask(world: World) -> None:
    browser = world.browser()
    shown = await browser.sign_in("mallory@example.com")
    assert error_page(shown) == (403, "not_assigned")
    assert "administrator" in shown.text
    assert (await browser.session())["authenticated"] is False


@pytest.mark.case("AZ-033", "AZ-035")
@pytest.mark.parametrize(
    "query",
    [
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
    ],
)
async def test_a_bad_link_to_the_callback_ends_nobodys_session(world: World, query: str) -> None:
    browser = world.browser()
    await browser.sign_in()
    before = {name: browser.cookie(name) for name in browser.cookie_names()}
    shown = await browser.navigate(f"{world.callback}?{query}", initiator="https://evil.example", follow=False)
    assert error_page(shown)[0] == 400
    assert set_cookies(shown) == {}
    assert {name: browser.cookie(name) for name in browser.cookie_names()} == before
    assert (await browser.session())["authenticated"] is True
    assert world.okta.control.token_requests == 1


@pytest.mark.case("AZ-035")
async def test_an_answer_meant_for_an_attackers_browser_ends_nobodys_session(world: World) -> None:
    victim, attacker = world.browser(), world.browser()
    await victim.sign_in()
    mine = victim.cookie("bff-session")
    for answer in (await attacker.until_callback("bob@example.com"), f"{world.callback}?error=access_denied"):
        await victim.arrive(answer)
    state = parameters(await attacker.begin())["state"]
    await victim.arrive(f"{world.callback}?error=access_denied&state={state}")
    assert victim.cookie("bff-session") == mine
    assert (await victim.session())["user"]["email"] == "alice@example.com"


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
    "fetch": {**FETCH},
    "fetch with our header": {"x-csrf": "1"},
}


@pytest.mark.case("AZ-038", "AZ-053")
@pytest.mark.parametrize("headers", NOT_BY_A_PERSON.values(), ids=NOT_BY_A_PERSON)
async def test_what_no_person_opened_leaves_no_sign_in_behind(world: World, headers: dict[str, str]) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    before = browser.cookie_names()
    for url in (f"{world.public_url}/auth/login", world.callback, answer):
        refused = await browser.http.get(url, headers=headers)
        assert refused.status_code == 403
        assert "navigation_required" in refused.text
        assert set_cookies(refused) == {}
        assert "location" not in refused.headers
    assert browser.cookie_names() == before
    assert world.okta.control.token_requests == 0
    await still_completes(world, browser, answer)


@pytest.mark.case("AZ-039")
async def test_a_sign_in_that_took_too_long_begins_again_once(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders?page=2")
    world.advance(601)
    shown = await browser.arrive(answer)
    assert error_page(shown) == (400, "sign_in_expired")
    assert try_again(shown) == "/auth/login?return_to=/orders%3Fpage%3D2"
    assert world.okta.control.token_requests == 0
    arrived = await browser.navigate(try_again(shown), initiator=world.public_url)
    assert str(arrived.url) == f"{world.public_url}/orders?page=2"
    assert (await browser.session())["authenticated"] is True


async def test_a_code_that_expired_at_the_provider_is_told_as_such(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback()
    world.advance(301)  # a code of Okta's lives 300 s, the sign-in 600 s
    assert error_page(await browser.arrive(answer)) == (502, "sign_in_failed")
    assert (await browser.session())["authenticated"] is False
