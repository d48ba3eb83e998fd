"""Many sessions at once: exactly those that were meant, and a failure is reported after all were attempted."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from bff.errors import StoreUnavailable
from bff.flows.logout.end_sessions import BATCH
from bff.session.session import EndReason, Session, User
from tests.harness.example_session import a_session
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
