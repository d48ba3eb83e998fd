"""Tokens of sessions that have ended are revoked: also after failures, after a restart, and by another process."""

import base64
import json
from pathlib import Path

import pytest

from bff.flows.logout.revocations import LEASE
from bff.session.revocation import FIRST_WAIT, MAX_WAIT, Revocation
from tests.harness.world import World, small_world


async def waiting(world: World) -> int:
    return await world.bff.stores.sessions.revocations.waiting()


async def look_again(world: World) -> None:
    world.bff.flows.sessions.revocations.work_soon()
    await world.settled()


@pytest.mark.parametrize("kind", ["server_error", "reset", "rate_limited", "invalid_client"])
async def test_a_revocation_that_fails_is_tried_again_later_and_not_before(world: World, kind: str) -> None:
    browser = await world.signed_in()
    world.okta.control.fault(kind, endpoint="revoke", times=1)
    await browser.sign_out()
    await world.settled()
    assert (world.revoked, await waiting(world)) == ([None], 1)
    world.okta.control.clear_faults()
    await look_again(world)
    assert world.revoked == [None], "it is not due yet"
    world.advance(120)
    world.bff.flows.sessions.revocations._held_until = 0.0  # a provider that throttles is left alone for a while
    await look_again(world)
    assert (world.revoked, await waiting(world)) == (["revoked by the client"], 0)
    assert world.okta.control.violations == []


async def test_what_was_not_revoked_is_revoked_after_a_restart(world: World) -> None:
    for browser in [await world.signed_in() for _ in range(3)]:
        world.okta.control.fault("server_error", endpoint="revoke", times=1)
        await browser.sign_out()
        await world.settled()
    world.okta.control.clear_faults()
    assert (world.revoked, await waiting(world)) == ([None] * 3, 3)
    world.advance(FIRST_WAIT + 1)
    await world.restart()
    await world.settled()
    assert (world.revoked, await waiting(world)) == (["revoked by the client"] * 3, 0)


async def test_what_a_process_that_died_had_claimed_is_revoked_by_another_one(world: World) -> None:
    browser = await world.signed_in()
    world.okta.control.fault("server_error", endpoint="revoke", times=1)
    await browser.sign_out()
    await world.settled()
    world.okta.control.clear_faults()
    world.advance(FIRST_WAIT + 1)
    (claimed,) = await world.bff.stores.sessions.revocations.claim(1, LEASE)  # and nothing more is heard of its holder
    await look_again(world)
    assert world.revoked == [None]
    world.advance(LEASE + 1)
    await look_again(world)
    assert world.revoked == ["revoked by the client"]
    assert claimed.token not in repr(claimed)


async def test_a_provider_that_stays_away_is_asked_ever_less_often_and_then_no_more(world: World) -> None:
    browser = await world.signed_in()
    world.okta.control.fault("server_error", endpoint="revoke", seconds=10 * 86400)
    await browser.sign_out()
    await world.settled()
    looks = 0
    while await waiting(world):
        looks += 1
        assert looks <= 40
        world.advance(MAX_WAIT + 1)
        await look_again(world)
    assert world.revoked == [None]


async def test_a_session_without_a_refresh_token_has_its_access_token_revoked(tmp_path: Path) -> None:
    async with small_world(tmp_path, scopes="openid profile email") as world:
        browser = await world.signed_in()
        await browser.fetch("/api/x")
        (token,) = world.upstream.tokens
        payload = token.split(".")[1]
        jti = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"]
        families, now = world.okta.control._org.families, world.okta.control._org.now
        assert families.access_token(jti, now()) is not None
        await browser.sign_out()
        await world.settled()
        assert families.access_token(jti, now()) is None
        assert await waiting(world) == 0


async def test_a_token_is_shown_to_no_other_issuer_than_its_own(world: World) -> None:
    until = await world.bff.stores.sessions.now() + 600
    strange = Revocation("strange", "canary-token", "refresh_token", "https://another.example", "", until)
    assert await world.bff.stores.sessions.revocations.add(strange)
    before = world.okta.control.events()
    await look_again(world)
    assert await waiting(world) == 0
    assert world.okta.control.events() == before


async def test_a_hundred_sign_outs_at_once_are_all_revoked(world: World) -> None:
    """More than are revoked at a time: none is forgotten, and none is revoked by two hands."""
    until = await world.bff.stores.sessions.now() + 600
    issuer = world.environ["BFF_ISSUER"]
    for n in range(100):
        assert await world.bff.stores.sessions.revocations.add(
            Revocation(f"n{n}", f"unknown-token-{n}", "refresh_token", issuer, "", until)
        )
    await look_again(world)
    assert await waiting(world) == 0
