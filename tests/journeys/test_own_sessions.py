"""A person looks at their own sessions, ends some, and says "I am still here"; limits that come from elsewhere."""

from pathlib import Path
from typing import Any

from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.world import World, small_world

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"  # noqa: E501


async def signed_in(world: World, agent: str = FIREFOX, login: str = "alice@example.com") -> Browser:
    browser = world.browser()
    browser.http.headers["user-agent"] = agent
    await browser.sign_in(login)
    return browser


async def listed(browser: Browser) -> list[dict[str, Any]]:
    answer = await browser.fetch("/auth/sessions")
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["sessions"]
    return found


# --- ending ----------------------------------------------------------------------------------------------------------


async def test_a_session_is_ended_from_another_browser_with_its_own_reason(world: World) -> None:
    here, there = await signed_in(world), await signed_in(world, IPHONE)
    (other,) = (each for each in await listed(here) if not each["current"])
    answer = await here.fetch("/auth/sessions/end", "POST", json={"id": other["id"]})
    assert answer.json() == {"ended": 1}
    refused = await there.fetch("/api/x")
    assert (refused.status_code, refused.json()["reason"]) == (401, "signed_out_elsewhere")
    assert (await there.session())["reason"] == "signed_out_elsewhere"
    assert (await here.fetch("/api/x")).status_code == 200
    again = await here.fetch("/auth/sessions/end", "POST", json={"id": other["id"]})
    assert (again.status_code, again.json()) == (200, {"ended": 0})


async def test_all_others_are_ended_and_this_one_stays(world: World) -> None:
    here = await signed_in(world)
    others = [await signed_in(world) for _ in range(3)]
    bob = await signed_in(world, login="bob@example.com")
    assert (await here.fetch("/auth/sessions/end", "POST", json={"others": True})).json() == {"ended": 3}
    assert [(await each.fetch("/api/x")).status_code for each in (here, bob, *others)] == [200, 200, 401, 401, 401]
    await world.settled()
    assert sum(family["revoked"] is None for family in world.okta.control.state()["families"]) == 2


# --- limits ----------------------------------------------------------------------------------------------------------


async def test_the_providers_ceiling_bounds_a_session_and_a_refresh_may_move_it(tmp_path: Path) -> None:
    rotation = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=rotation, absolute_timeout="7200") as world:
        now = int(world.clock())
        world.okta.control.settings(id_token_claims={"session_expiry": now + 1000})
        browser = await signed_in(world)
        assert (await browser.session())["session"]["ends_at"] == now + 1000
        world.okta.control.settings(id_token_claims={"session_expiry": now + 2000})
        world.advance(301)
        assert (await browser.fetch("/api/x")).status_code == 200
        assert (await browser.session())["session"]["ends_at"] == now + 2000
        world.okta.control.settings(id_token_claims={"session_expiry": now + 100_000})
        world.advance(301)
        assert (await browser.fetch("/api/x")).status_code == 200
        session = (await browser.session())["session"]
        assert session["ends_at"] - session["signed_in_at"] == 7200, "never beyond our own limit"
        world.okta.control.settings(id_token_claims={"session_expiry": now + 700})
        world.advance(301)
        assert (await browser.fetch("/api/x")).json().get("reason") == "absolute_timeout"


async def test_a_refresh_tokens_lifetime_ends_the_session_before_the_provider_refuses(tmp_path: Path) -> None:
    async with small_world(tmp_path, refresh_token_lifetime="1800") as world:
        browser = await signed_in(world)
        session = (await browser.session())["session"]
        assert session["ends_at"] - session["signed_in_at"] == 1800
        world.advance(1801)
        assert (await browser.fetch("/api/x")).json()["reason"] == "absolute_timeout"
