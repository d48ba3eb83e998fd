"""Renewal seen from the browser: whatever happens to a refresh, nobody is signed out who should not be.

A window of trouble is met twice: with an access token that is still good (everything works, nobody notices), and with
an expired one (503 with Retry-After, the cookie untouched); when the trouble ends the next request succeeds.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bff.web.auth.session import REASON_SHOWN
from demo.simulator.grants import Replay, RotationPolicy
from tests.harness.pages import problem, set_cookies
from tests.harness.waiting import until
from tests.harness.world import World, small_world

SHORT = RotationPolicy(access_token_lifetime=300)
DUE, EXPIRED = 260, 301  # seconds after sign-in; due from 255 at the latest, and good until 295 for a slow machine


@pytest.fixture
async def short(tmp_path: Path) -> AsyncIterator[World]:
    """Access tokens live five minutes."""
    async with small_world(tmp_path, rotation=SHORT) as world:
        yield world


def assert_no_harm(world: World) -> None:
    assert world.okta.control.reuse_alarms == 0
    assert world.okta.control.violations == []
    assert world.revoked == [None]


# --- an answer that got lost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lose_answer", "reset_mid_body", "truncate", "broken_body", "server_error_after"])
@pytest.mark.parametrize("expired", [False, True], ids=["valid", "expired"])
async def test_two_lost_answers_in_a_row_are_asked_for_again_inside_the_grace(
    short: World, kind: str, expired: bool
) -> None:
    browser = await short.signed_in()
    short.advance(EXPIRED if expired else DUE)
    short.okta.control.fault(kind, times=2, grant="refresh_token")
    answers = await asyncio.gather(*(browser.fetch("/api/x") for _ in range(5)))
    statuses = [each.status_code for each in answers]
    # A request that reads an expired record between two sends may get 503; none is asked to sign in.
    assert 200 in statuses
    assert set(statuses) <= ({200, 503} if expired else {200})
    await short.settled()
    assert (await browser.fetch("/api/y")).status_code == 200
    assert short.okta.control.refresh_requests == 3
    first, last = short.upstream.tokens[0], short.upstream.tokens[-1]
    assert (first == last) is expired  # who had to wait has the new one, who had not was served with the old one
    assert_no_harm(short)


@pytest.mark.parametrize("replay", list(Replay))
async def test_a_lost_answer_is_survived_whatever_a_replayed_refresh_token_brings(
    tmp_path: Path, replay: Replay
) -> None:
    policy = RotationPolicy(access_token_lifetime=300, replay=replay)
    async with small_world(tmp_path, rotation=policy) as world:
        browser = await world.signed_in()
        world.okta.control.fault("lose_answer", grant="refresh_token")
        world.advance(EXPIRED)
        for _ in range(2):
            assert (await browser.fetch("/api/x")).status_code == 200
            await world.settled()
        assert_no_harm(world)
        world.advance(EXPIRED)
        # A provider that hands the dead token back has left us nothing that still works.
        ended = replay is Replay.OLD_TOKEN_STALE
        assert (await browser.fetch("/api/x")).status_code == (401 if ended else 200)


async def test_two_hundred_calls_in_three_minutes_with_two_lost_answers_are_all_answered(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=30)) as world:
        browser = await world.signed_in()
        for call in range(200):
            if call in (40, 130):
                world.okta.control.fault("lose_answer", grant="refresh_token")
            assert (await browser.fetch("/api/orders")).status_code == 200, call
            await world.settled()
            world.advance(0.9)
        (family,) = world.okta.control.state()["families"]
        assert family["rotation_count"] > 5
        assert family["resends"] == 2
        assert_no_harm(world)


# --- windows of trouble ----------------------------------------------------------------------------------------------

# The provider's grace is 0 here, so that no caller waits for a second try inside it: what is shown is the answer.
WINDOWS: dict[str, dict[str, Any]] = {
    "refused": {},
    "stall": {"kind": "stall"},
    "reset": {"kind": "reset"},
    "500": {"kind": "server_error"},
    "503 with Retry-After": {"kind": "server_error", "status": 503, "retry_after": 7},
    "429": {"kind": "rate_limited"},
    "429 in seconds": {"kind": "rate_limited", "retry_after": 1},
    "429 with garbage": {"kind": "rate_limited", "retry_after": "garbage"},
    "429 invalid_grant": {"kind": "user_rate_limited"},
    "temporarily_unavailable": {"kind": "temporarily_unavailable"},
    "invalid_client": {"kind": "invalid_client"},
    "no_matching_policy": {"kind": "no_matching_policy"},
    "a page": {"kind": "html"},
}


async def trouble(world: World, window: dict[str, Any]) -> None:
    if window:
        world.okta.control.fault(times=50, **window)
    else:
        await world.okta.control.down()


async def trouble_ends(world: World) -> None:
    world.okta.control.clear_faults()
    await world.okta.control.up()


@pytest.mark.case("DS-014")
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
async def test_provider_trouble_ends_no_session(tmp_path: Path, window: dict[str, Any]) -> None:
    policy = RotationPolicy(access_token_lifetime=300, grace=0)
    timings: dict[str, Any] = {"refresh_grace": "0"}
    if window.get("kind") == "stall":  # the only one that takes as long as an answer may
        timings |= {"refresh_timeout": "3"}
    async with small_world(tmp_path, rotation=policy, **timings) as world:
        browser = await world.signed_in()
        before = browser.cookie("bff-session")
        await trouble(world, window)

        world.advance(DUE)
        assert (await browser.fetch("/api/valid")).status_code == 200
        await world.settled()
        assert (await browser.session())["authenticated"] is True

        world.advance(EXPIRED - DUE + 60)
        for _ in range(2):
            refused = await browser.fetch("/api/expired")
            assert problem(refused) == (503, "provider_unavailable")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert set_cookies(refused) == {}
        assert (await browser.session())["authenticated"] is True

        await trouble_ends(world)
        world.advance(61)

        async def answered() -> bool:  # the hold after a 429 runs on a clock that no test moves
            return (await browser.fetch("/api/again")).status_code == 200

        await until(answered)
        assert browser.cookie("bff-session") == before
        assert [heard.path for heard in world.upstream.heard] == ["/api/valid", "/api/again"]
        assert_no_harm(world)


async def test_a_lost_answer_with_grace_0_is_a_late_send_that_may_end_the_session(tmp_path: Path) -> None:
    """Okta allows a grace of 0: then a lost answer is a lost token, and only the provider's refusal says so."""
    policy = RotationPolicy(access_token_lifetime=300, grace=0)
    async with small_world(tmp_path, rotation=policy, refresh_grace="0") as world:
        browser = await world.signed_in()
        world.okta.control.settings(expect_late=True)
        world.advance(DUE)
        world.okta.control.fault("lose_answer", grant="refresh_token")
        assert (await browser.fetch("/api/x")).status_code == 200  # nobody is signed out while the token is good
        await world.settled()
        assert (await browser.fetch("/api/x")).status_code == 200
        assert world.okta.control.refresh_requests == 1
        world.advance(60)
        refused = await browser.fetch("/api/x")
        assert problem(refused) == (401, "sign_in_required")
        assert await browser.session() == {"authenticated": False, "reason": "refresh_token_invalid"}


# --- what does end a session -----------------------------------------------------------------------------------------


async def test_a_confirmed_refusal_ends_the_session_and_shows_the_reason(short: World) -> None:
    browser = await short.signed_in()
    short.okta.control.revoke_user("alice@example.com")
    assert (await browser.fetch("/api/x")).status_code == 200
    short.advance(EXPIRED)
    refused = await browser.fetch("/api/x")
    assert problem(refused) == (401, "sign_in_required")
    await short.settled()  # the reason is stored for the session and for the browser, one after the other
    assert await browser.session() == {"authenticated": False, "reason": "refresh_token_invalid"}
    short.advance(REASON_SHOWN + 1)
    assert await browser.session() == {"authenticated": False, "reason": None}
    await browser.sign_in()
    assert (await browser.fetch("/api/x")).status_code == 200
