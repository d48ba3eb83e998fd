"""Tokens of sessions that have ended are revoked: also after failures, after a restart, and by another process."""

import pytest

from bff.session.revocation import FIRST_WAIT
from tests.harness.world import World


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
