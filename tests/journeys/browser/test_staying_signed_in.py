"""A person signs in and stays signed in, through everything that signs people out elsewhere."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Route, expect

from tests.harness.person import PATIENCE, Person
from tests.harness.running_demo import ACCESS_TOKEN_LIFETIME
from tests.harness.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

RENEWED_AFTER = 3 / 4 * ACCESS_TOKEN_LIFETIME  # seconds, at the soonest


async def test_a_person_signs_in_reaches_the_page_asked_for_and_the_cookies_are_for_the_server_alone(
    person: Person,
) -> None:
    await person.open()
    await person.sees_that_nobody_is_signed_in()
    await person.sign_in("/orders/7?tab=lines")
    assert person.page.url == person.demo.url + "/orders/7?tab=lines"
    await person.holds_no_token()
    await person.sees("#claims", "alice@example.com")
    await person.sees("#seen-cookies", "none")
    await person.presses("Call the API")
    await person.sees("#answer", "orders")
    await expect(person.page.locator("#stream-time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d$"), timeout=PATIENCE)
    await expect(person.page.locator("#socket-time")).to_have_text(re.compile(r"^[\d.]+ ms$"), timeout=PATIENCE)
    await person.watch.has_read("web-socket", "/auth/session", "/api/orders", "/api/echo", "event-stream")

    cookies = {cookie["name"]: cookie for cookie in await person.context.cookies(person.demo.url)}
    known = {"bff-session", "bff-browser", "bff-attempts"}
    assert cookies.keys() == known, "a login cookie was left behind, or another one is new"
    for cookie in cookies.values():
        assert (cookie["httpOnly"], cookie["path"], cookie["domain"]) == (True, "/", "localhost")
    assert (cookies["bff-session"]["sameSite"], cookies["bff-session"]["expires"]) == ("Strict", -1)
    assert cookies["bff-browser"]["sameSite"] == cookies["bff-attempts"]["sameSite"] == "Lax"
    assert person.watch.cookies
    for line in "\n".join(person.watch.cookies).splitlines():
        assert "; HttpOnly" in line
        assert "; SameSite=" in line
        assert "Domain=" not in line


async def test_the_token_is_renewed_again_and_again_and_a_lost_answer_signs_nobody_out(person: Person) -> None:
    await person.sign_in()
    await person.presses("Lose the next token answer")
    await person.sees("#trial-lose .result", "You are still signed in")
    await person.reads_in_the_journal("its answer was lost on the way")
    await person.reads_in_the_journal("answered the repeated request with the token that was lost")
    await person.holds_no_token()
    before = await person.rotations()
    await person.sees_a_count("#token-rotations", r"^(\d+) times?$", before + 1)
    await person.reads_in_the_journal("issued a new access token and replaced the refresh token")
    await person.sees_a_count("#survived", r"through (\d+) renewals?", 2)
    assert (await person.call("/api/orders"))["status"] == 200
    assert "retry later" not in await person.page.locator("#beats-words").inner_text()


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
    other = await person.context.new_page()
    await other.goto(person.demo.url)
    await person.sees_that_they_are_signed_in(other)  # on a page that loads only now, too
    person.demo.okta("/up", {})
    await person.sees("#trial-down .result", "You are still signed in")
    await person.reads_in_the_journal("You did not have to sign in again")
    assert (await person.call("/api/orders"))["status"] == 200


def refreshes_after_the_first(
    events: list[dict[str, Any]], begin: dict[str, Any], issued: float | None = None
) -> list[dict[str, Any]]:
    """The refreshes after the first one since event `begin`, none of them for one of the fifty calls.

    A later one comes because the token, `issued` in seconds or at the first refresh, has aged, or sends the same token
    again because the answer came too late on a busy machine. Calls that do not share a refresh cause dozens at once.
    """
    first, *others = [event for event in events if event["n"] > begin["n"] and event["kind"] in ("refreshed", "resent")]
    assert first["kind"] == "refreshed"
    at_once = [event for event in others if event["at"] - (issued or first["at"]) <= 2]
    assert all(event["kind"] == "resent" for event in at_once), [event["text"] for event in at_once]
    assert len(at_once) <= 2
    return others


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
    others = refreshes_after_the_first(events, next(event for event in reversed(events) if event["kind"] == "up"))
    assert requests - before == 1 + len(others)


async def test_fifty_calls_that_come_during_a_renewal_share_its_token_request(person: Person) -> None:
    await person.sign_in()
    before = max(event["n"] for event in person.demo.okta("/events?after=0")["events"])
    await person.presses("Open 50 calls at once")
    await person.sees("#trial-calls .result", "50 of 50 answered")
    await person.sees("#trial-calls .result", "You are still signed in")
    result = await person.page.locator("#trial-calls .result").inner_text()
    events = person.demo.okta("/events?after=0")["events"]
    (held,) = [event for event in events if event["kind"] == "fault" and event["n"] > before]
    assert held["fault"] == "slow"
    others = refreshes_after_the_first(events, held, held["at"])
    reported = re.search(r"with (\d+) token request", result)
    assert reported is not None
    assert 1 <= int(reported[1]) <= 1 + len(others)


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


async def test_after_signing_out_no_tab_and_no_back_button_shows_anything_private(person: Person) -> None:
    await person.sign_in()
    await person.sees("#claims", "Liddell")
    second = await person.context.new_page()
    await second.goto(person.demo.url)
    await person.sees_that_they_are_signed_in(second)
    await person.signs_out()
    await person.sees("#ended", "You have signed out.")
    await person.sees_that_nobody_is_signed_in(second)
    assert "alice" not in (await second.content()).replace("alice@example.com</code>", "").lower()
    assert (await person.call("/api/orders"))["status"] == 401
    assert "bff-session" not in {cookie["name"] for cookie in await person.context.cookies(person.demo.url)}
    for _ in range(3):
        await person.page.go_back()
        if not person.page.url.startswith(person.demo.url):
            continue
        await person.sees_that_nobody_is_signed_in()
        assert "Liddell" not in await person.page.content()
    await person.open()
    await person.sees_that_nobody_is_signed_in()


async def test_the_page_that_comes_next_shows_the_reason_however_slow_the_answer(person: Person) -> None:
    async def slowly(route: Route) -> None:
        answer = await route.fetch()
        await person.page.clock.run_for(5000)  # the session is over; by the page's clock two more rounds are due
        await route.fulfill(response=answer)

    await person.page.clock.install()
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


async def test_a_session_that_okta_revokes_ends_on_the_page_without_a_call_of_the_user(person: Person) -> None:
    await person.sign_in()
    await person.presses("Okta revokes the session")
    await person.sees("#ended", "Okta revoked your session")
    await person.sees_that_nobody_is_signed_in()

    def delivered() -> list[int]:
        events = person.demo.okta("/events?after=0")["events"]
        return [event["status"] for event in events if event["kind"] == "security_event"]

    await until(delivered)  # the page may know of the end before the transmitter has the response
    assert delivered() == [202]
