"""A person signs in and stays signed in, through everything that signs people out elsewhere."""

import asyncio
import re
import time

import pytest
from playwright.async_api import Route, expect

from tests.harness.person import PATIENCE, Person
from tests.harness.running_demo import ACCESS_TOKEN_LIFETIME

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("browser")]

RENEWED_AFTER = 3 / 4 * ACCESS_TOKEN_LIFETIME  # seconds, at the soonest


async def test_who_signs_in_is_named_and_the_api_answers(person: Person) -> None:
    await person.open()
    await person.sees_that_nobody_is_signed_in()
    await person.sign_in()
    await person.holds_no_token()
    await person.sees("#claims", "alice@example.com")
    await person.sees("#seen-cookies", "none")
    await person.presses("Call the API")
    await person.sees("#answer", "orders")
    await expect(person.page.locator("#stream-time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"), timeout=PATIENCE)
    await expect(person.page.locator("#socket-time")).to_have_text(re.compile(r"^[\d.]+ ms$"), timeout=PATIENCE)
    await person.watch.has_read("web-socket", "/auth/session", "/api/orders", "/api/echo", "event-stream")
    await person.holds_no_token()


async def test_the_page_asked_for_is_the_page_reached_after_signing_in(person: Person) -> None:
    await person.sign_in("/orders/7?tab=lines")
    assert person.page.url == person.demo.url + "/orders/7?tab=lines"


async def test_cookies_are_for_the_server_alone(person: Person) -> None:
    await person.sign_in()
    cookies = {cookie["name"]: cookie for cookie in await person.context.cookies(person.demo.url)}
    known = {"bff-session", "bff-browser", "bff-attempts"}
    assert cookies.keys() == known, "a login cookie was left behind, or another one is new"
    for cookie in cookies.values():
        assert (cookie["httpOnly"], cookie["path"], cookie["domain"]) == (True, "/", "localhost")
    assert (cookies["bff-session"]["sameSite"], cookies["bff-session"]["expires"]) == ("Strict", -1)
    assert cookies["bff-browser"]["sameSite"] == cookies["bff-attempts"]["sameSite"] == "Lax"
    await person.holds_no_token()
    assert person.watch.cookies
    for line in "\n".join(person.watch.cookies).splitlines():
        assert "; HttpOnly" in line
        assert "; SameSite=" in line
        assert "Domain=" not in line


async def test_the_access_token_is_renewed_again_and_again_without_anybody_noticing(person: Person) -> None:
    await person.sign_in()
    await person.sees_a_count("#token-rotations", r"^(\d+) times?$", 2)
    await person.reads_in_the_journal("issued a new access token and replaced the refresh token")
    await person.sees_a_count("#survived", r"through (\d+) renewals?", 2)
    assert (await person.call("/api/orders"))["status"] == 200
    assert "retry later" not in await person.page.locator("#beats-words").inner_text()


async def test_a_lost_token_answer_signs_nobody_out(person: Person) -> None:
    await person.sign_in()
    await person.presses("Lose the next token answer")
    await person.sees("#trial-lose .result", "You are still signed in")
    await person.reads_in_the_journal("its answer was lost on the way")
    await person.reads_in_the_journal("answered the repeated request with the token that was lost")
    await person.holds_no_token()
    before = await person.rotations()
    await person.sees_a_count("#token-rotations", r"^(\d+) times?$", before + 1)
    assert (await person.call("/api/orders"))["status"] == 200


async def test_okta_can_be_away_for_longer_than_an_access_token_lives(person: Person) -> None:
    await person.sign_in()
    await person.takes_okta_down()
    await person.sees("#okta-state", "down")
    await person.reads_in_the_journal("503 with Retry-After")
    refused = await person.call("/api/orders")
    assert (refused["status"], refused["json"]["code"]) == (503, "provider_unavailable")
    assert int(refused["retryAfter"]) >= 1
    assert (await person.call("/auth/session"))["json"]["authenticated"] is True
    await person.sees_that_they_are_signed_in()
    await person.holds_no_token()
    person.demo.okta("/up", {})
    await person.sees("#trial-down .result", "You are still signed in")
    await person.reads_in_the_journal("You did not have to sign in again")
    assert (await person.call("/api/orders"))["status"] == 200


async def test_reloading_while_okta_is_away_shows_the_same_person(person: Person) -> None:
    await person.sign_in()
    person.demo.okta("/down", {"seconds": 300, "how": "refuse"})
    await person.page.reload()
    await person.sees_that_they_are_signed_in()
    await person.sees("#okta-state", "down")


async def test_fifty_calls_at_once_make_at_most_one_token_request(person: Person) -> None:
    await person.sign_in()
    began = time.monotonic()
    await person.presses("Open 50 calls at once")
    await person.sees("#trial-calls .result", "50 of 50 answered")
    took = time.monotonic() - began
    result = await person.page.locator("#trial-calls .result").inner_text()
    told = re.search(r"with (\d+) token request", result)
    assert told is not None
    # One, and on a machine that takes so long one more for every life of an access token.
    assert int(told[1]) <= 1 + took // RENEWED_AFTER
    assert "You are still signed in" in result
    assert await person.page.locator("#calls-grid i.ok").count() == 50


async def test_fifty_calls_that_wait_for_okta_to_come_back_share_one_token_request(person: Person) -> None:
    await person.sign_in()
    await person.takes_okta_down()
    await person.reads_in_the_journal("503 with Retry-After")
    before = person.demo.okta("/state")["token_requests"]
    await person.presses("Open 50 calls at once")
    await expect(person.page.locator("#calls-grid i.wait").first).to_be_visible(timeout=PATIENCE)
    person.demo.okta("/up", {})
    await person.sees("#trial-calls .result", "50 of 50 answered")
    requests, events = person.demo.token_requests()
    back = max(event["n"] for event in events if event["kind"] == "up")
    first, *others = [event for event in events if event["n"] > back and event["kind"] in ("refreshed", "resent")]
    assert first["kind"] == "refreshed"
    # Whoever renews later does so because that token has aged, not for one of the waiting calls.
    assert all(later["at"] - first["at"] > 2 for later in others)
    assert requests - before == 1 + len(others)


async def test_a_second_tab_is_signed_in_too_and_hears_of_the_sign_out(person: Person) -> None:
    await person.sign_in()
    second = await person.context.new_page()
    await second.goto(person.demo.url)
    await person.sees_that_they_are_signed_in(second)
    await person.signs_out()
    await person.sees_that_nobody_is_signed_in(second)
    assert "alice" not in (await second.content()).replace("alice@example.com</code>", "").lower()


async def test_two_tabs_that_sign_in_at_the_same_time_both_arrive(person: Person) -> None:
    other = Person(person.demo, person.context, await person.context.new_page(), person.watch)
    await asyncio.gather(person.open(), other.open("/orders/2"))
    for one in (person, other):
        await one.page.locator("#sign-in").click()
        await one.page.get_by_label("Username").fill(one.demo.login)
        await one.page.get_by_label("Password").fill(one.demo.password)
    for one in (person, other):
        await one.page.get_by_role("button", name="Sign in").click()
        await one.sees_that_they_are_signed_in()
    assert other.page.url == person.demo.url + "/orders/2"


async def test_after_signing_out_the_back_button_shows_nothing_private(person: Person) -> None:
    await person.sign_in()
    await person.sees("#claims", "Liddell")
    await person.signs_out()
    await person.sees("#ended", "You have signed out.")
    assert (await person.call("/api/orders"))["status"] == 401
    cookies = {cookie["name"] for cookie in await person.context.cookies(person.demo.url)}
    assert "bff-session" not in cookies
    for _ in range(3):
        await person.page.go_back()
        if not person.page.url.startswith(person.demo.url):
            continue
        await person.sees_that_nobody_is_signed_in()
        assert "Liddell" not in await person.page.content()
    await person.open()
    await person.sees_that_nobody_is_signed_in()


async def test_the_reason_is_told_to_the_page_that_comes_next_however_slow_the_answer(person: Person) -> None:
    async def slowly(route: Route) -> None:
        answer = await route.fetch()
        await asyncio.sleep(2.5)  # the session is over, and the page that is left has had time for two more rounds
        await route.fulfill(response=answer)

    await person.sign_in()
    await person.page.route("**/auth/logout", slowly)
    await person.signs_out()
    await person.sees("#ended", "You have signed out.")


async def test_a_session_that_an_administrator_ended_says_so_and_lets_sign_in_again(person: Person) -> None:
    await person.sign_in()
    sub = (await person.call("/auth/session"))["json"]["user"]["sub"]
    person.demo.okta(f"/users/{sub}/revoke", {})
    await person.sees_that_nobody_is_signed_in()
    await person.sees("#ended", "Okta no longer renews this session")
    assert "Liddell" not in await person.page.content()
