"""A reservation is written once, by one replica, and says by which clock its lease runs."""

import asyncio

import pytest

from bff.errors import ProviderUnavailable
from bff.flows.refresh.provider_limits import MAX_UNANSWERED
from bff.flows.refresh.reservation import AwaitTurn, RefreshCause, Reservations, Reserved
from bff.oidc.token import Granted, NoAnswer, TokenResponse
from bff.session.session import RefreshAttempt
from bff.session.timing import token_fingerprint
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts

CAUSE = RefreshCause()


async def test_one_of_two_replicas_reserves(parts: Parts) -> None:
    session, other = await parts.expired(), Parts(beside=parts)
    reserved = await asyncio.gather(
        *(each.reservations.reserve(session.key, CAUSE, turn=False) for each in (parts, other))
    )
    assert sorted(type(each).__name__ for each in reserved) == ["NotDue", "Reserved"]


async def test_the_lease_runs_by_the_clock_of_the_store(parts: Parts) -> None:
    session = await parts.expired()
    reserved = await Reservations(parts.store, parts.timing, new_attempt_id=lambda: "mine").reserve(
        session.key, CAUSE, turn=False
    )
    assert isinstance(reserved, Reserved)
    await time_passes(3)
    assert reserved.clock.now() == parts.now
    assert reserved.session.attempt is not None
    assert reserved.session.attempt.attempt_id == "mine"


@pytest.mark.parametrize(("age", "due"), [(60.0, True), (0.0, False)])
async def test_a_rejected_token_makes_a_refresh_due_unless_it_is_brand_new(parts: Parts, age: float, due: bool) -> None:
    session = await parts.signed_in()
    await time_passes(age)
    cause = RefreshCause(rejected_token=token_fingerprint(session.tokens.access_token))
    assert isinstance(await parts.reservations.reserve(session.key, cause, turn=False), Reserved) is due


async def test_the_fifth_refresh_of_a_user_in_a_second_waits_for_its_turn(parts: Parts) -> None:
    first = await parts.expired()
    sessions = [first, *[await parts.expired(user=first.user) for _ in range(4)]]
    results = [await parts.reservations.reserve(session.key, CAUSE, turn=False) for session in sessions]
    assert [type(result) for result in results] == [Reserved] * 4 + [AwaitTurn]
    assert isinstance(await parts.reservations.reserve(sessions[4].key, CAUSE, turn=True), Reserved)


async def unavailable(parts: Parts) -> None:
    """The provider has not answered for some time, and this second's probe is under way."""
    for _ in range(MAX_UNANSWERED):
        parts.reservations.answered(NoAnswer(may_have_been_sent=True))
    assert isinstance(await parts.reservations.reserve((await parts.expired()).key, CAUSE, turn=False), Reserved)


async def test_while_the_provider_is_unavailable_one_session_asks_for_all(parts: Parts) -> None:
    await unavailable(parts)
    sessions = [await parts.expired() for _ in range(20)]
    waits = []
    for session in sessions:
        with pytest.raises(ProviderUnavailable) as refused:
            await parts.reservations.reserve(session.key, CAUSE, turn=False)
        assert await parts.stored(session) == session
        waits.append(refused.value.retry_after)
    assert set(waits) <= {1, 2, 3}
    assert len(set(waits)) > 1, "they do not all come back in the same second"
    parts.reservations.answered(Granted(TokenResponse("access", 60, None, None, None)))
    for session in sessions:
        assert isinstance(await parts.reservations.reserve(session.key, CAUSE, turn=False), Reserved)


@pytest.mark.parametrize(("sent_ago", "in_grace"), [(10.0, True), (100.0, False)])
async def test_only_a_resend_inside_the_grace_period_does_not_wait_for_the_probe(
    parts: Parts, sent_ago: float, in_grace: bool
) -> None:
    await unavailable(parts)
    at = parts.now
    lost = RefreshAttempt("lost", tries=1, first_sent_at=at - sent_ago, lease_until=at - 1, not_before=at - 1)
    session = await parts.expired(attempt=lost)
    if in_grace:
        assert isinstance(await parts.reservations.reserve(session.key, CAUSE, turn=False), Reserved)
        return
    with pytest.raises(ProviderUnavailable):
        await parts.reservations.reserve(session.key, CAUSE, turn=False)
