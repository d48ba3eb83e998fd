"""Answers from records read before, while the store cannot be reached: when, for whom, and how many are kept."""

import asyncio
from dataclasses import replace

import pytest

from bff.errors import BffError, StoreUnavailable
from bff.flows.recent_records import RecentRecords
from bff.session.session import EndReason, Session
from bff.session.store import Found, Missing
from bff.session.timing import token_fingerprint
from bff.telemetry.metrics import REGISTRY
from tests.harness.example_session import a_session
from tests.harness.policy import Policy
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import LIFETIME, Parts

GRACE = 10.0
NO_REPLY = StoreUnavailable(unreachable=True)


@pytest.fixture
async def parts() -> Parts:
    """A replica with a grace period, in place of the fixture's without."""
    return Parts(outage_grace=GRACE)


async def answer(parts: Parts, session: Session, **asked: str) -> str:
    """The access token, or the error's code."""
    try:
        return (await parts.refresh.session_with_fresh_token(session.key, **asked)).tokens.access_token  # type: ignore[arg-type]
    except BffError as error:
        return error.code


def answers_in_outages() -> float:
    return REGISTRY.get_sample_value("bff_store_outage_answers_total") or 0.0


def loses_its_store(parts: Parts) -> None:
    """The other replicas still reach it."""
    parts.store.data = replace(parts.data, down=True)


async def test_a_session_read_just_before_is_served_for_the_grace_period_and_no_longer(parts: Parts) -> None:
    session, counted = await parts.signed_in(), answers_in_outages()
    token = session.tokens.access_token
    assert await answer(parts, session) == token
    parts.data.down = True
    assert await answer(parts, session) == token
    await time_passes(GRACE)
    assert await answer(parts, session) == token
    assert answers_in_outages() == counted + 2
    await time_passes(0.1)
    assert await answer(parts, session) == "store_unavailable"
    parts.data.down = False
    assert await answer(parts, session) == token


@pytest.mark.parametrize("grace", [0.0, GRACE])
async def test_without_the_setting_or_without_a_read_there_is_no_answer(grace: float) -> None:
    parts = Parts(outage_grace=grace)
    known, unknown = await parts.signed_in(), await parts.signed_in()
    await answer(parts, known)
    parts.data.down = True
    assert await answer(parts, unknown) == "store_unavailable"
    assert await answer(parts, known) == (known.tokens.access_token if grace else "store_unavailable")


async def test_a_store_that_replies_is_never_replaced(parts: Parts) -> None:
    session = await parts.signed_in()
    await answer(parts, session)
    parts.data.full = True
    assert await answer(parts, session) == "store_unavailable"


async def test_an_access_token_that_has_expired_or_was_rejected_is_not_used(parts: Parts) -> None:
    session = await parts.signed_in()
    fingerprint = token_fingerprint(session.tokens.access_token)
    await time_passes(LIFETIME + 95)  # it is due, and valid for five seconds
    await answer(parts, session)
    loses_its_store(parts)
    assert await answer(parts, session) == session.tokens.access_token
    assert await answer(parts, session, rejected_token=fingerprint) == "store_unavailable"
    await time_passes(5)
    assert await answer(parts, session) == "store_unavailable"
    await parts.tasks.drain(0)


@pytest.mark.parametrize("together", [False, True])
async def test_a_sign_out_at_this_replica_holds_although_the_store_could_not_record_it(
    parts: Parts, *, together: bool
) -> None:
    session, other = await parts.signed_in(), await parts.signed_in()
    for one in (session, other):
        await answer(parts, one)
    parts.data.down = True
    key, why = session.key, EndReason.SIGNED_OUT
    with pytest.raises(StoreUnavailable):
        await (parts.end_sessions.these([session], why) if together else parts.end_session.end(key, why))
    assert await answer(parts, session) == "store_unavailable"
    assert await answer(parts, other) == other.tokens.access_token


@pytest.mark.parametrize(("sid", "forgotten"), [("sid-1", True), ("sid-2", False)])
async def test_a_front_channel_request_concerns_its_own_sessions_only(parts: Parts, sid: str, forgotten: bool) -> None:
    """Anybody can send one."""
    session = await parts.signed_in(sid="sid-1")
    await answer(parts, session)
    parts.data.down = True
    with pytest.raises(StoreUnavailable):
        await parts.end_sessions.of_provider_session(sid, EndReason.FRONT_CHANNEL, mark_if_unknown=False)
    assert await answer(parts, session) == ("store_unavailable" if forgotten else session.tokens.access_token)


@pytest.mark.parametrize("authentic", ["logout of a user", "of a provider session", "change of the keys"])
async def test_what_may_end_any_session_leaves_no_record(parts: Parts, authentic: str) -> None:
    session = await parts.signed_in()
    await answer(parts, session)
    parts.data.down = True
    match authentic:
        case "logout of a user":
            with pytest.raises(StoreUnavailable):
                await parts.end_sessions.of_user("sub", session.user.sub, EndReason.UNIVERSAL_LOGOUT)
        case "of a provider session":
            with pytest.raises(StoreUnavailable):
                await parts.end_sessions.of_provider_session(str(session.sid), EndReason.BACK_CHANNEL)
        case _:
            parts.end_sessions.forget_recent_records()
    assert await answer(parts, session) == "store_unavailable"


async def test_a_sign_out_at_another_replica_is_seen_at_the_end_of_the_grace_period(parts: Parts) -> None:
    other, session = Parts(beside=parts), await parts.signed_in()
    await answer(parts, session)
    loses_its_store(parts)
    await other.end_session.end(session.key, EndReason.SIGNED_OUT)
    assert await answer(parts, session) == session.tokens.access_token
    await time_passes(GRACE + 0.1)
    assert await answer(parts, session) == "store_unavailable"
    parts.store.data = parts.data
    assert await answer(parts, session) == "sign_in_required"
    loses_its_store(parts)
    assert await answer(parts, session) == "store_unavailable"
    await other.settled()


def recent(limit: int = 100) -> RecentRecords:
    return RecentRecords(GRACE, Policy(), monotonic=asyncio.get_running_loop().time, limit=limit)


async def test_a_read_that_an_end_overtook_is_not_kept() -> None:
    records, session = recent(), a_session()
    asked_at = asyncio.get_running_loop().time()
    await time_passes(0.1)
    records.forget(session.key)
    records.record(session.key, Found(0.0, session, 0.0), asked_at)
    assert records.session(session.key, NO_REPLY) is None


async def test_a_session_that_is_gone_is_forgotten() -> None:
    records, session = recent(), a_session()
    now = asyncio.get_running_loop().time()
    records.record(session.key, Found(0.0, session, 0.0), now)
    assert (records.session(session.key, NO_REPLY) or (None,))[0] == session
    records.record(session.key, Missing(0.0), now)
    assert records.session(session.key, NO_REPLY) is None


async def test_memory_is_bounded_by_number_and_by_age() -> None:
    records, sessions = recent(limit=3), [a_session() for _ in range(5)]
    now = asyncio.get_running_loop().time()
    for session in sessions:
        records.record(session.key, Found(0.0, session, 0.0), now)
    kept = [records.session(session.key, NO_REPLY) is not None for session in sessions]
    assert kept == [False, False, True, True, True]
    await time_passes(GRACE + 1)
    newest = a_session()
    records.record(newest.key, Found(0.0, newest, 0.0), asyncio.get_running_loop().time())
    assert list(records._reads) == [newest.key]


async def test_an_outage_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    records, session = recent(), a_session()
    loop = asyncio.get_running_loop()
    for _ in range(20):
        records.record(session.key, Found(0.0, session, 0.0), loop.time())
        assert (records.session(session.key, NO_REPLY) or (None,))[0] == session
        await time_passes(5)
    assert [line.getMessage() for line in caplog.records] == [
        "the session store is unreachable: requests are answered from records read before"
    ] * 2
