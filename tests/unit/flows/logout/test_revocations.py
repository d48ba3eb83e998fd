"""The tokens of ended sessions are revoked, with retries, across restarts and outages."""

from collections import Counter
from dataclasses import replace

import pytest

from bff.flows.logout.revocations import LEASE, MAX_UNQUEUED_ATTEMPTS
from bff.oidc.token import NotRevoked, RevocationResult, TokenResponse
from bff.session.revocation import ATTEMPTS_LIMIT, KEPT_FOR, Revocation
from bff.session.session import ConcurrentSuccessor, Session
from bff.storage.limits import StoreLimits
from bff.storage.revocation_record import RevocationRecords
from tests.harness.example_session import a_session
from tests.harness.memory_store import MemoryRevocations, MemoryStore
from tests.harness.minting import ISSUER
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import START, Parts


def with_tokens(refresh_token: str | None, successor: str | None = None) -> Session:
    session = a_session(START - 3600, concurrent_successor=ConcurrentSuccessor(successor, 1, 1) if successor else None)
    return replace(session, tokens=replace(session.tokens, access_token="at", refresh_token=refresh_token))


@pytest.mark.parametrize(
    ("session", "revoked"),
    [
        (with_tokens("rt"), ["rt"]),
        (with_tokens("rt", "successor"), ["rt", "successor"]),
        (with_tokens(None), []),  # its access token has expired
    ],
)
async def test_the_refresh_tokens_of_a_session_are_revoked(parts: Parts, session: Session, revoked: list[str]) -> None:
    await parts.revocations.sessions_ended([session], Counter())
    await parts.settled()
    assert sorted(parts.provider.revoked) == revoked


async def test_without_a_refresh_token_the_access_token_is_revoked(parts: Parts) -> None:
    session = with_tokens(None)
    tokens = replace(session.tokens, usable_until=parts.now + 60)
    await parts.revocations.sessions_ended([replace(session, tokens=tokens)], Counter())
    await parts.settled()
    assert parts.provider.revoked == ["at"]


@pytest.mark.parametrize(
    ("response", "revoked"),
    [(TokenResponse("at", 60, "rt"), ["rt"]), (TokenResponse("at", 60), ["at"]), (TokenResponse(None, 60), [])],
)
async def test_discarded_tokens_are_revoked(parts: Parts, response: TokenResponse, revoked: list[str]) -> None:
    parts.revocations.discarded(response)
    await parts.settled()
    assert parts.provider.revoked == revoked


async def queued(parts: Parts, *, issuer: str = ISSUER, number: int = 1) -> None:
    until = parts.data.clock() + KEPT_FOR
    await parts.store.revocations.add(Revocation(f"r{number}", f"rt{number}", "refresh_token", issuer, "", until))


@pytest.mark.parametrize(
    ("answers", "attempts", "waiting"),
    [
        ([NotRevoked("503")] * 3, 4, 0),
        ([NotRevoked("503", retry_after=3000.0)], 1, 1),
        ([NotRevoked("unsupported", final=True)], 1, 0),
        ([NotRevoked("503")] * 100, 10, 1),
    ],
)
async def test_a_failed_revocation_is_repeated_with_growing_pauses(
    parts: Parts, answers: list[RevocationResult], attempts: int, waiting: int
) -> None:
    parts.provider.revocation_answers = list(answers)
    await queued(parts)
    running = parts.tasks.start(parts.revocations.run(), "run")
    await time_passes(2800)
    assert len(parts.provider.revoked) == attempts
    assert await parts.store.revocations.waiting() == waiting
    running.cancel()


async def test_a_revocation_is_given_up_after_its_last_attempt(parts: Parts) -> None:
    await queued(parts)
    parts.data.revocations["r1"].attempts = ATTEMPTS_LIMIT - 1
    parts.provider.revocation_answers = [NotRevoked("503")]
    parts.revocations.work_soon()
    await parts.settled()
    assert await parts.store.revocations.waiting() == 0


async def test_a_token_is_sent_to_its_own_issuer_only(parts: Parts) -> None:
    await queued(parts, issuer="https://another.example")
    parts.revocations.work_soon()
    await parts.settled()
    assert parts.provider.revoked == []
    assert await parts.store.revocations.waiting() == 0


async def test_another_replica_takes_over_when_the_lease_is_over(parts: Parts) -> None:
    other = Parts(beside=parts)
    await queued(parts)
    await parts.store.revocations.claim(1, LEASE)  # by a process that dies
    running = other.tasks.start(other.revocations.run(), "run")
    await time_passes(LEASE - 2)
    assert parts.provider.revoked == []
    await time_passes(2 * LEASE)
    assert parts.provider.revoked == ["rt1"]
    running.cancel()


async def test_what_is_added_while_the_worker_runs_is_done_too(parts: Parts) -> None:
    parts.provider.delay = 5.0
    for number in range(20):
        await queued(parts, number=number)
    parts.revocations.work_soon()
    await time_passes(1)
    await parts.revocations.sessions_ended([with_tokens("late")], Counter())
    await parts.settled()
    assert len(parts.provider.revoked) == 21


class SlowToCount(MemoryRevocations):
    async def waiting(self) -> int:
        await time_passes(1.0)
        return await super().waiting()


async def test_what_is_added_while_the_worker_is_about_to_end_is_done_too(parts: Parts) -> None:
    parts.store.revocations = SlowToCount(parts.data, RevocationRecords(parts.ring), 100)
    await parts.revocations.sessions_ended([with_tokens("early")], Counter())
    await time_passes(0.5)  # the worker has nothing left to do, and counts
    await parts.revocations.sessions_ended([with_tokens("late")], Counter())
    await parts.settled()
    assert parts.provider.revoked == ["early", "late"]


async def test_after_retry_after_nothing_is_claimed_for_a_while(parts: Parts) -> None:
    parts.provider.revocation_answers = [NotRevoked("429", retry_after=30.0)]
    await queued(parts)
    parts.revocations.work_soon()
    await parts.settled()
    await queued(parts, number=2)
    parts.revocations.work_soon()
    await parts.settled()
    assert parts.provider.revoked == ["rt1"]
    await time_passes(31)
    parts.revocations.work_soon()
    await parts.settled()
    assert parts.provider.revoked == ["rt1", "rt2", "rt1"] or parts.provider.revoked == ["rt1", "rt1", "rt2"]


@pytest.mark.parametrize(
    ("down", "answers", "waiting"),
    [(True, [], 0), (True, [NotRevoked("503")], 1), (True, [NotRevoked("no", final=True)], 0), (False, [], 0)],
)
async def test_what_cannot_be_queued_is_attempted_once_and_then_queued_after_all(
    parts: Parts, down: bool, answers: list[RevocationResult], waiting: int
) -> None:
    if not down:  # the queue is full
        parts.revocations._store = MemoryStore(parts.data, parts.ring, limits=StoreLimits(revocations=0))
    parts.provider.revocation_answers, parts.provider.delay = list(answers), 1.0
    parts.data.down = down
    await parts.revocations.sessions_ended([with_tokens("rt")], Counter())
    parts.data.down = False
    await parts.settled()
    assert parts.provider.revoked == ["rt"]
    assert len(parts.data.revocations) == waiting


async def test_attempts_without_the_queue_are_bounded(parts: Parts) -> None:
    parts.data.down, parts.provider.delay = True, 1.0
    for _ in range(MAX_UNQUEUED_ATTEMPTS + 5):
        await parts.revocations.sessions_ended([with_tokens("rt")], Counter())
        await time_passes(0)
    await parts.settled()
    assert len(parts.provider.revoked) == MAX_UNQUEUED_ATTEMPTS
