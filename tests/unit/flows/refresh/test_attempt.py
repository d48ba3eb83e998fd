"""One token request: reserved before it is sent, sent only under its lease, and counted."""

import asyncio
from typing import Any

import pytest

from bff.flows.refresh.attempt import RefreshAttempts
from bff.flows.refresh.reservation import RefreshCause
from bff.oidc.token import Denied, NoAnswer, Postponed, TokenResult
from bff.session.token_response import Renewed
from bff.telemetry.metrics import REGISTRY
from tests.unit.flows.parts import Parts

CAUSE = RefreshCause()


def counted(outcome: str, reason: str) -> float:
    return REGISTRY.get_sample_value("bff_refresh_total", {"outcome": outcome, "reason": reason}) or 0.0


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (None, "renewed", ""),
        (Denied(400, "invalid_grant"), "ended", "refresh_token_invalid"),
        (Denied(401, "invalid_client"), "denied", "invalid_client"),
        (Denied(400, "something of their own"), "denied", "other"),
        (Postponed(3.0), "postponed", ""),
        (NoAnswer(may_have_been_sent=True), "no_answer", "unknown"),
        (NoAnswer(may_have_been_sent=False), "no_answer", "not_sent"),
    ],
)
async def test_each_outcome_is_counted(parts: Parts, answer: TokenResult | None, outcome: str, reason: str) -> None:
    session, before = await parts.expired(), counted(outcome, reason)
    parts.provider.answers = [] if answer is None else [answer]
    await parts.attempts.attempt(session.key, CAUSE)
    assert counted(outcome, reason) == before + 1


async def test_the_attempt_is_durable_before_the_token_is_sent(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.delay = 1.0
    attempt = asyncio.create_task(parts.attempts.attempt(session.key, CAUSE))
    while not parts.provider.refreshed:
        await asyncio.wait([attempt], timeout=0.01)
    stored = await parts.stored(session)
    assert stored is not None
    assert stored.attempt is not None
    assert stored.attempt.first_sent_at is not None
    assert isinstance(await attempt, Renewed)


@pytest.mark.case("DS-010")
async def test_no_more_requests_run_at_once_than_allowed() -> None:
    parts = Parts(concurrency=2)
    sessions = [await parts.expired() for _ in range(6)]
    parts.provider.delay = 1.0
    results = await asyncio.gather(*(parts.attempts.attempt(session.key, CAUSE) for session in sessions))
    assert all(isinstance(result, Renewed) for result in results)
    assert parts.provider.most_running == 2


async def test_one_user_with_many_sessions_waits_for_its_turn_and_delays_no_other() -> None:
    parts = Parts(concurrency=1)
    first = await parts.expired()
    mine = [first, *[await parts.expired(user=first.user) for _ in range(5)]]
    other, begun = await parts.expired(), parts.now
    calls = [asyncio.create_task(parts.attempts.attempt(session.key, CAUSE)) for session in mine]
    await parts.attempts.attempt(other.key, CAUSE)
    assert parts.now == begun
    await asyncio.gather(*calls)
    assert parts.now == pytest.approx(begun + 1.0)
    assert len(parts.provider.refreshed) == 7


async def test_a_defect_of_the_client_does_not_lose_the_attempt(parts: Parts) -> None:
    session = await parts.expired()

    class Broken:
        async def refresh(self, *_: Any, **__: Any) -> TokenResult:
            raise RuntimeError

    provider: Any = Broken()
    attempts = RefreshAttempts(parts.reservations, provider, parts.outcomes, parts.timing, concurrency=1)
    await attempts.attempt(session.key, CAUSE)
    stored = await parts.stored(session)
    assert stored is not None
    assert stored.attempt is not None
    assert stored.attempt.first_sent_at is not None
