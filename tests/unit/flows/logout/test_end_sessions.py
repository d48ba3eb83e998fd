"""Many sessions at once: exactly those that were meant, and a failure is reported after all were attempted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from bff.errors import StoreUnavailable
from bff.flows.logout.end_session import EndSession
from bff.flows.logout.end_sessions import BATCH, EndSessions
from bff.session.session import EndReason, Session, SessionKey, User
from bff.session.store import Deleted
from tests.harness.example_session import a_session
from tests.harness.memory_store import MemoryStore
from tests.harness.minting import ISSUER
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts

WHY = EndReason.BACK_CHANNEL
ALICE, BOB = User("alice", "alice@example.com"), User("bob", "bob@example.com")


async def people(parts: Parts) -> dict[str, Session]:
    return {
        "alice": await parts.signed_in(user=ALICE, sid="a"),
        "alice elsewhere": await parts.signed_in(user=ALICE, sid="b"),
        "alice without sid": await parts.signed_in(user=ALICE, sid=None),
        "bob": await parts.signed_in(user=BOB, sid="a"),
        "of another issuer": await _stored(parts, a_session(parts.now, user=ALICE, sid="a")),
    }


async def _stored(parts: Parts, session: Session) -> Session:
    await parts.store.create(session)
    return session


End = Callable[[Parts], Awaitable[object]]
ALL_OF_ALICE = {"alice", "alice elsewhere", "alice without sid"}
CASES: dict[str, tuple[End, set[str]]] = {
    "sub": (lambda parts: parts.end_sessions.of_user("sub", "alice", WHY), ALL_OF_ALICE),
    "email": (lambda parts: parts.end_sessions.of_user("email", "BOB@example.com", WHY), {"bob"}),
    "sid": (lambda parts: parts.end_sessions.of_provider_session("a", WHY), {"alice", "bob"}),
    "sid and sub": (
        lambda parts: parts.end_sessions.of_provider_session("a", WHY, sub="alice"),
        {"alice", "alice without sid"},
    ),
    "everyone": (lambda parts: parts.end_sessions.of_everyone(WHY), {*ALL_OF_ALICE, "bob"}),
    "sub, before the sign-in": (
        lambda parts: parts.end_sessions.of_user("sub", "alice", WHY, at=parts.now - 60),
        set(),
    ),
    "sid and sub, before the sign-in": (
        lambda parts: parts.end_sessions.of_provider_session("a", WHY, sub="alice", at=parts.now - 60),
        {"alice"},
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_exactly_those_that_are_meant_end(parts: Parts, case: str) -> None:
    end, ended = CASES[case]
    sessions = await people(parts)
    await time_passes(30)
    await end(parts)
    gone = {name for name, session in sessions.items() if await parts.stored(session) is None}
    assert gone == ended


async def test_a_request_that_anybody_can_send_marks_only_what_it_ended(parts: Parts) -> None:
    await people(parts)
    await parts.end_sessions.of_provider_session("unknown", WHY, mark_if_unknown=False)
    assert parts.data.markers == {}
    await parts.end_sessions.of_provider_session("a", WHY, mark_if_unknown=False)
    assert len(parts.data.markers) == 1


async def test_these_end_without_a_marker(parts: Parts) -> None:
    sessions = await people(parts)
    ended = await parts.end_sessions.these([sessions["bob"]], EndReason.SIGNED_OUT_ELSEWHERE)
    assert [session.user for session in ended] == [BOB]
    assert parts.data.markers == {}


async def test_everyone_is_more_than_one_batch(parts: Parts) -> None:
    for _ in range(BATCH + 2):
        await parts.signed_in()
    assert await parts.end_sessions.of_everyone(WHY) == BATCH + 2
    assert parts.data.sessions == {}


async def test_progress_is_reported_batch_by_batch(parts: Parts) -> None:
    for _ in range(BATCH + 2):
        await parts.signed_in()
    seen: list[tuple[int, int]] = []

    async def progress(ended: int) -> None:
        seen.append((ended, len(parts.data.sessions)))

    assert await parts.end_sessions.of_everyone(WHY, progress) == BATCH + 2
    assert seen == [(BATCH, 2)]


async def test_the_tokens_of_one_person_do_not_delay_those_of_others(parts: Parts) -> None:
    parts.provider.delay = 1.0
    for _ in range(3 * BATCH):
        await parts.signed_in(user=ALICE)
    bobs = await parts.signed_in(user=BOB)
    await parts.end_sessions.of_user("sub", "alice", WHY)
    await time_passes(2)
    await parts.end_session.end(bobs.key, EndReason.SIGNED_OUT)
    await time_passes(3)
    assert bobs.tokens.refresh_token in parts.provider.revoked
    await parts.settled()
    assert len(set(parts.provider.revoked)) == 3 * BATCH + 1


class LosesTheLast(MemoryStore):
    """Does not learn whether the last record of a batch was deleted."""

    async def delete_all(self, keys: Sequence[SessionKey], reason: EndReason) -> Deleted:
        return replace(await super().delete_all(keys[:-1], reason), complete=False)


async def test_what_ended_is_revoked_although_the_rest_failed(parts: Parts) -> None:
    sessions = [await parts.signed_in(user=ALICE) for _ in range(3)]
    store = LosesTheLast(parts.data, parts.ring)
    end_session = EndSession(store, parts.revocations, parts.tasks)
    with pytest.raises(StoreUnavailable):
        await EndSessions(store, end_session, parts.markers, parts.tasks, ISSUER).of_user("sub", "alice", WHY)
    await parts.settled()
    assert len(parts.provider.revoked) == len(parts.data.ends) // 2 == 2
    assert len([session for session in sessions if await parts.stored(session)]) == 1


async def test_a_failure_is_reported_and_the_caller_may_repeat(parts: Parts) -> None:
    await people(parts)
    parts.data.down = True
    with pytest.raises(StoreUnavailable):
        await parts.end_sessions.of_user("sub", "alice", WHY)
    parts.data.down = False
    assert len(await parts.end_sessions.of_user("sub", "alice", WHY)) == 3


async def test_a_caller_that_goes_away_cancels_nothing(parts: Parts) -> None:
    await people(parts)
    caller = asyncio.create_task(parts.end_sessions.of_everyone(WHY))
    await time_passes(0)
    caller.cancel()
    await parts.settled()
    assert len(parts.data.sessions) == 1
