"""The refresh cases of the attack catalogue, each lived through by a browser, the BFF and a simulated Okta."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bff.components.timeouts import Timeouts
from bff.flows.refresh.timing import RefreshTimeouts
from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.world import World, small_world

# For a provider that is to be waited for in vain. Everywhere else the machine, too, may be slow: a second is not much.
QUICK = {"refresh_timeout": "1", "refresh_lease": "1.2"}
# The same where the answer to what is sent next has to come in time: a machine may stand still for a second.
FAIRLY_QUICK = {"refresh_timeout": "4", "refresh_lease": "5"}
LIFE = 300


@asynccontextmanager
async def due(directory: Path, **more: Any) -> AsyncIterator[tuple[World, Browser]]:
    """Alice signed in, her access token expired a second ago."""
    policy = RotationPolicy(access_token_lifetime=LIFE, **more.pop("policy", {}))
    async with small_world(directory, rotation=policy, **more) as world:
        browser = world.browser()
        await browser.sign_in()
        world.advance(LIFE + 1)
        yield world, browser


async def called(browser: Browser) -> tuple[int, str]:
    answer = await browser.fetch("/api/x")
    return answer.status_code, answer.json().get("code", "")


async def until_settled(browser: Browser) -> tuple[int, str]:
    """Calls as a patient SPA does, until the answer is another one than to come back later."""
    async with asyncio.timeout(60):
        while (answer := await called(browser)) in (
            (503, "provider_unavailable"),
            (503, "store_unavailable"),
        ):
            await asyncio.sleep(0.3)
        return answer


async def until_served(browser: Browser) -> None:
    assert (await until_settled(browser))[0] == 200


@pytest.mark.case("RF-001")
async def test_a_refused_connection_consumes_nothing(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        await world.okta.control.down(how="refuse")
        assert await called(browser) == (503, "provider_unavailable")
        assert (await browser.fetch("/auth/session")).json()["authenticated"] is True
        await world.okta.control.up()
        await until_served(browser)
        assert world.okta.control.reuse_alarms == 0


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("RF-002", {"kind": "reset"}),
    ("RF-004", {"kind": "lose_answer"}),
    ("RF-004", {"kind": "stall_after"}),
    ("RF-006", {"kind": "server_error", "status": 503}),
    ("RF-006", {"kind": "server_error_after", "status": 502}),
    ("RF-008", {"kind": "truncate"}),
    ("RF-008", {"kind": "broken_body"}),
    ("RF-008", {"kind": "html"}),
    ("RF-008", {"kind": "reset_mid_body"}),
]


@pytest.mark.parametrize(("attack", "fault"), FAULTS, ids=[f"{attack} {fault['kind']}" for attack, fault in FAULTS])
async def test_an_unknown_outcome_is_asked_for_again_inside_the_grace(
    tmp_path: Path, attack: str, fault: dict[str, Any]
) -> None:
    # Only an answer that never comes has to be waited for; the rest is seen at once, with the times as shipped.
    times = FAIRLY_QUICK if fault["kind"] == "stall_after" else {}
    async with due(tmp_path, **times) as (world, browser):
        world.okta.control.fault(**fault)
        await until_served(browser)
        assert world.okta.control.reuse_alarms == 0
        assert world.okta.control.refresh_requests == 2
        assert (await browser.session())["authenticated"] is True


@pytest.mark.case("RF-005")
async def test_when_the_grace_is_over_one_late_send_settles_it(tmp_path: Path) -> None:
    timeouts = Timeouts(refresh=RefreshTimeouts(caller=1.0))  # nothing is gained by waiting ten
    async with due(tmp_path, timeouts=timeouts) as (world, browser):
        world.okta.control.settings(expect_late=True)
        world.okta.control.fault("lose_answer", times=20)
        assert (await called(browser))[0] == 503
        await reached(lambda: world.okta.control.refresh_requests > 0)
        world.advance(60)
        world.okta.control.clear_faults()
        before = world.okta.control.refresh_requests
        # A renewal under way as the clock jumped may have lost its answer too; whoever shared it is told to come back.
        assert await until_settled(browser) == (401, "sign_in_required")
        assert world.okta.control.refresh_requests <= before + 1
        assert (await browser.session())["reason"] == "refresh_token_invalid"


@pytest.mark.case("RF-009")
async def test_an_answer_without_a_refresh_token_keeps_the_one_we_have(tmp_path: Path) -> None:
    async with due(tmp_path, policy={"answer_refresh_token": False}) as (world, browser):
        assert (await called(browser))[0] == 200
        world.advance(LIFE + 1)
        assert (await called(browser))[0] == 200


@pytest.mark.case("RF-010")
async def test_a_persistent_refresh_token_goes_on_and_on(tmp_path: Path) -> None:
    async with due(tmp_path, policy={"mode": "persistent"}) as (world, browser):
        for _ in range(3):
            assert (await called(browser))[0] == 200
            world.advance(LIFE + 1)
        world.okta.control.fault("lose_answer")
        await until_served(browser)


@pytest.mark.parametrize("expires_in", [0, 1, 10**12, None, "300"], ids=lambda value: f"RF-013 expires_in {value}")
async def test_a_strange_lifetime_makes_no_refresh_loop(tmp_path: Path, expires_in: Any) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.fault("edit_answer", set={"expires_in": expires_in})
        before = world.okta.control.refresh_requests
        await asyncio.gather(*(browser.fetch("/api/x") for _ in range(20)))
        assert world.okta.control.refresh_requests <= before + 2
        assert (await browser.session())["authenticated"] is True


@pytest.mark.case("RF-026")
async def test_with_a_grace_of_0_a_lost_answer_is_a_new_sign_in_and_nothing_is_resent_before(tmp_path: Path) -> None:
    async with due(tmp_path, policy={"grace": 0}, refresh_grace="0") as (world, browser):
        world.okta.control.settings(expect_late=True)
        assert (await called(browser))[0] == 200  # single flight alone is enough
        world.advance(LIFE + 1)
        world.okta.control.fault("lose_answer")
        statuses = []
        for _ in range(12):
            statuses.append((await called(browser))[0])
            if statuses[-1] == 401:
                break
            await asyncio.sleep(0.3)
        assert set(statuses) <= {503, 401}
        assert statuses[-1] == 401
        assert (await browser.session())["reason"] == "refresh_token_invalid"


@pytest.mark.case("RF-030")
async def test_a_clock_that_steps_back_an_hour_in_the_middle_harms_nothing(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.fault("slow_answer", delay=0.4)
        caller = asyncio.create_task(called(browser))
        await reached(lambda: world.okta.control.refresh_requests == 1)
        world.clock.ahead -= 3600
        assert (await caller)[0] in (200, 503)
        world.clock.ahead += 3600
        await until_served(browser)
        assert world.okta.control.reuse_alarms == 0


@pytest.mark.case("RF-031")
async def test_the_provider_s_clock_may_be_minutes_off(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=LIFE)) as world:
        browser = world.browser()
        await browser.sign_in()
        world.okta.control.advance(-200)
        world.clock.ahead += LIFE + 1
        assert (await called(browser))[0] == 200
        world.clock.ahead += LIFE - 100
        assert (await called(browser))[0] == 200
        assert world.okta.control.refresh_requests <= 2


@pytest.mark.case("RF-033")
async def test_ten_minutes_of_invalid_client_end_no_session(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.settings(secrets=("another-secret-that-we-were-not-given-0123",))
        for _ in range(10):
            assert await called(browser) == (503, "provider_unavailable")
            world.advance(60)
        world.okta.control.settings(secrets=(world.environ["BFF_CLIENT_SECRET"],))
        await until_served(browser)


@pytest.mark.case("RF-036")
async def test_a_real_refusal_ends_the_session_at_once_and_is_not_asked_again(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.revoke_user("alice@example.com")
        answers = await asyncio.gather(*(called(browser) for _ in range(20)))
        assert set(answers) == {(401, "sign_in_required")}
        assert world.okta.control.refresh_requests == 1
        assert (await browser.session())["reason"] == "refresh_token_invalid"


@pytest.mark.case("RF-039")
async def test_a_slow_provider_costs_callers_a_503_and_the_answer_is_fetched_all_the_same(tmp_path: Path) -> None:
    async with due(tmp_path, **QUICK) as (world, browser):
        world.okta.control.fault("slow_answer", delay=2.5)
        await until_served(browser)
        assert world.okta.control.reuse_alarms == 0


@pytest.mark.case("RF-043", "RF-055")
async def test_two_people_whose_tokens_are_renewed_at_once_never_get_each_other_s(tmp_path: Path) -> None:
    policy = RotationPolicy(access_token_lifetime=LIFE)
    async with small_world(tmp_path, rotation=policy) as world:
        people = {login: world.browser() for login in ("alice@example.com", "bob@example.com", "zoë@example.com")}
        for login, browser in people.items():
            await browser.sign_in(login)
        world.advance(LIFE + 1)
        await asyncio.gather(*(until_served(browser) for browser in people.values() for _ in people))
        subs = {login: (await browser.session())["user"]["sub"] for login, browser in people.items()}
        assert len(set(subs.values())) == 3
        # Each call's token belongs to exactly one of them: as many tokens as people, none shared.
        assert len(set(world.upstream.tokens)) == 3
        # Bob signs in where Alice's refresh is under way: her tokens never appear in his session.
        alice = people["alice@example.com"]
        world.advance(LIFE + 1)
        world.okta.control.fault("slow_answer", delay=0.5)
        caller = asyncio.create_task(called(alice))
        await reached(lambda: world.okta.control.refresh_requests >= 4)
        alice.http.cookies.delete("sid", domain="127.0.0.1", path="/")
        await alice.sign_in("bob@example.com")
        # A machine that stands still for long may make the call give up: 503, to come back later.
        assert (await caller)[0] in (200, 401, 503)
        world.upstream.heard.clear()
        await until_served(alice)
        assert (await alice.session())["user"]["sub"] == subs["bob@example.com"]


@pytest.mark.case("RF-044", "RF-047", "RF-063")
async def test_two_routes_and_a_late_caller_share_the_one_token_of_the_session(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        await asyncio.gather(*(browser.fetch(f"/api/{number % 2}/x") for number in range(30)))
        await browser.fetch("/api/0/late")
        assert world.okta.control.refresh_requests == 1
        assert len(set(world.upstream.tokens)) == 1


@pytest.mark.case("RF-046")
async def test_a_failed_flight_is_not_told_to_the_next_caller(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.fault("temporarily_unavailable", times=100)  # also where the next flight begins early
        assert (await called(browser))[0] == 503
        world.okta.control.clear_faults()
        await until_served(browser)


@pytest.mark.case("RF-053")
async def test_a_session_that_idles_out_during_its_refresh_stays_dead(tmp_path: Path) -> None:
    async with due(tmp_path, idle_timeout="900") as (world, browser):
        world.okta.control.fault("slow_answer", delay=0.6)
        caller = asyncio.create_task(called(browser))
        await reached(lambda: world.okta.control.refresh_requests == 1)
        world.advance(901)
        assert (await browser.session())["authenticated"] is False
        assert (await caller)[0] == 401
        await reached(lambda: all(family["revoked"] for family in world.okta.control.state()["families"]))
        assert (await called(browser))[0] == 401


@pytest.mark.case("RF-054")
async def test_a_sign_in_in_another_tab_wins_over_the_old_session_s_refresh(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        old = browser.cookie("bff-session")
        world.okta.control.fault("slow_answer", delay=0.6, grant="refresh_token")
        caller = asyncio.create_task(called(browser))
        await reached(lambda: world.okta.control.refresh_requests == 1)
        await browser.sign_in()
        assert browser.cookie("bff-session") != old
        await caller
        assert (await called(browser))[0] == 200
        await reached(
            lambda: [bool(each["revoked"]) for each in world.okta.control.state()["families"]].count(False) == 1
        )


@pytest.mark.case("RF-058")
async def test_an_upstream_s_401_costs_one_forced_refresh_and_is_then_passed_on(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=LIFE)) as world:
        browser = world.browser()
        await browser.sign_in()
        world.advance(60)
        world.upstream.answers = [401]
        assert (await called(browser))[0] == 200
        assert world.okta.control.refresh_requests == 1
        world.upstream.answers = [401, 401]
        assert (await called(browser))[0] == 401
        assert world.okta.control.refresh_requests == 1  # the new token is too young to be the reason
        assert (await browser.session())["authenticated"] is True


@pytest.mark.case("RF-059")
async def test_an_active_session_is_renewed_before_anybody_waits_and_a_sleeping_one_is_left_alone(
    tmp_path: Path,
) -> None:
    policy = RotationPolicy(access_token_lifetime=8)
    async with small_world(tmp_path, rotation=policy) as world:
        active, sleeping = world.browser(), world.browser()
        await sleeping.sign_in("bob@example.com")
        await active.sign_in()
        await active.fetch("/api/x")
        await reached(lambda: world.okta.control.refresh_requests == 1)
        views = world.okta.control.state()["families"]
        assert sorted(view["rotation_count"] for view in views) == [0, 1]


@pytest.mark.case("RF-060")
async def test_a_refresh_token_at_the_end_of_its_life_ends_the_session_with_a_reason(tmp_path: Path) -> None:
    async with due(tmp_path, policy={"refresh_token_lifetime": 400}) as (world, browser):
        assert (await called(browser))[0] == 200
        world.advance(LIFE + 1)
        assert (await called(browser))[0] == 401
        assert (await browser.session())["reason"] == "refresh_token_invalid"


@pytest.mark.case("RF-067")
async def test_claims_that_changed_are_shown_with_the_new_tokens(tmp_path: Path) -> None:
    async with due(tmp_path) as (world, browser):
        world.okta.control.settings(id_token_claims={"name": "Alice Renamed"})
        assert (await browser.session())["user"]["name"] == "Alice Liddell"
        assert (await called(browser))[0] == 200
        assert (await browser.session())["user"]["name"] == "Alice Renamed"


async def reached(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
