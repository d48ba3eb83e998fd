"""The access token for a request: what callers get for each state of the session and each answer of the provider."""

import asyncio
from dataclasses import replace

import pytest

from bff.errors import BffError, ProviderUnavailable, RefreshRefused, SignInRequired
from bff.flows.refresh.timing import RefreshTimeouts
from bff.oidc.token import ClientProof, Denied, NoAnswer, Postponed, TokenResult
from bff.session.keyring import KeyRing, new_key, new_session_id
from bff.session.session import EndReason, SessionKey
from bff.session.stored import Found
from bff.session.timing import MAX_BACKOFF, token_fingerprint
from tests.harness.memory_store import MemoryStore
from tests.harness.policy import Policy
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import LIFETIME, POLICY, Parts

UNKNOWN, UNSENT = NoAnswer(may_have_been_sent=True), NoAnswer(may_have_been_sent=False)


async def token_of(parts: Parts, key: SessionKey, **asked: object) -> str:
    return (await parts.refresh.session_with_fresh_token(key, **asked)).tokens.access_token  # type: ignore[arg-type]


async def answer_of(parts: Parts, key: SessionKey) -> str:
    """The access token, or the error's code and reason."""
    try:
        return await token_of(parts, key)
    except SignInRequired as error:
        return f"{error.code} {error.reason}"
    except BffError as error:
        return error.code


async def test_a_due_token_is_used_while_it_is_renewed(parts: Parts) -> None:
    session = await parts.signed_in()
    await time_passes(LIFETIME + 1)
    assert await token_of(parts, session.key) == session.tokens.access_token
    await parts.settled()
    assert await token_of(parts, session.key) == "access-1"


@pytest.mark.case("RF-044", "RF-047", "RF-063")
async def test_callers_of_an_expired_token_share_one_request(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.delay = 2.0
    assert set(await asyncio.gather(*(token_of(parts, session.key) for _ in range(20)))) == {"access-1"}
    assert parts.provider.refreshed == [session.tokens.refresh_token]


def unclear(granted_ago: float | None) -> Denied:
    return Denied(400, "invalid_request", proof=ClientProof("ours", granted_ago))


async def test_a_dead_token_that_is_refused_unclearly_ends_the_session_once_that_is_proven(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.answers = [unclear(0.0) for _ in range(9)]
    while await parts.stored(session) is not None:
        assert parts.now < session.signed_in_at + 180
        with pytest.raises((RefreshRefused, SignInRequired)):
            await token_of(parts, session.key)
        await time_passes(10)
    assert len(parts.provider.refreshed) >= 2
    assert await parts.end_reason(session) is EndReason.REFRESH_TOKEN_INVALID


async def test_a_token_that_is_refused_unclearly_while_nothing_is_granted_stays(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.answers = [unclear(None) for _ in range(40)]
    for _ in range(30):
        with pytest.raises(RefreshRefused):
            await token_of(parts, session.key)
        await time_passes(20)
    parts.provider.answers = []
    await time_passes(MAX_BACKOFF)
    assert (await token_of(parts, session.key)).startswith("access-")


@pytest.mark.parametrize(
    ("answers", "expected", "ends"),
    [
        pytest.param([UNKNOWN], "access-2", None, id="lost answer, asked again inside the grace period"),
        pytest.param([UNSENT], "access-2", None, id="never sent"),
        pytest.param([Postponed(2.0)], "access-2", None, id="busy, asked again after Retry-After"),
        pytest.param([Denied(400, "invalid_client")] * 9, "provider_unavailable", None, id="our credentials"),
        pytest.param(
            [Denied(400, "invalid_grant")],
            "sign_in_required refresh_token_invalid",
            EndReason.REFRESH_TOKEN_INVALID,
            id="RF-036 refused",
        ),
    ],
)
async def test_each_answer_of_the_provider(
    parts: Parts, answers: list[TokenResult], expected: str, ends: EndReason | None
) -> None:
    session = await parts.expired()
    parts.provider.answers = list(answers)
    answer = await answer_of(parts, session.key)
    for _ in range(5):
        if answer == expected:
            break
        assert answer == "provider_unavailable"
        await time_passes(3)
        answer = await answer_of(parts, session.key)
    assert answer == expected
    assert (await parts.stored(session) is None) is (ends is not None)
    assert await parts.end_reason(session) is ends


@pytest.mark.case("RF-039")
async def test_a_caller_waits_no_longer_than_its_timeout_and_the_answer_is_kept() -> None:
    parts = Parts(policy=Policy(timeout=60.0, lease=70.0), timeouts=RefreshTimeouts(caller=5.0))
    session = await parts.expired()
    parts.provider.delay, begun = 30.0, parts.now
    assert await answer_of(parts, session.key) == "provider_unavailable"
    assert parts.now - begun == pytest.approx(5.0)
    await parts.settled()
    assert await token_of(parts, session.key) == "access-1"


async def test_a_cancelled_caller_does_not_cancel_the_refresh(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.delay = 2.0
    caller = asyncio.create_task(token_of(parts, session.key))
    await time_passes(1)
    caller.cancel()
    await parts.settled()
    assert await token_of(parts, session.key) == "access-1"


@pytest.mark.case("RF-053")
async def test_a_session_that_ends_during_its_refresh_stays_ended(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.delay = 3.0
    caller = asyncio.create_task(answer_of(parts, session.key))
    await time_passes(1)
    begun = parts.now
    await parts.end_session.end(session.key, EndReason.SIGNED_OUT)
    assert await caller == "sign_in_required signed_out"
    assert parts.now == begun, "answered at once, not when the provider answers"
    await parts.settled()
    assert await parts.stored(session) is None
    assert "refresh-1" in parts.provider.revoked, "what arrived too late"


@pytest.mark.case("RF-046")
async def test_a_failed_flight_is_not_shown_to_the_next_caller(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.answers = [Denied(503, "temporarily_unavailable")] * 20
    assert await answer_of(parts, session.key) == "provider_unavailable"
    parts.provider.answers.clear()
    await time_passes(60)
    assert await token_of(parts, session.key) == "access-2"


async def test_an_idle_session_ends_and_a_passive_call_is_no_activity() -> None:
    parts = Parts(policy=Policy(idle_timeout=900.0))
    session = await parts.signed_in()
    for _ in range(2):
        await time_passes(500)
        await parts.refresh.session_with_fresh_token(session.key)
        await parts.settled()
    await time_passes(500)
    await parts.refresh.session_with_fresh_token(session.key, passive=True)
    await time_passes(500)
    assert await answer_of(parts, session.key) == "sign_in_required idle_timeout"


@pytest.mark.parametrize("reason", [EndReason.UNIVERSAL_LOGOUT, None])
async def test_an_ended_session_says_why_as_long_as_that_is_known(parts: Parts, reason: EndReason | None) -> None:
    key = new_session_id().key
    if reason:
        session = await parts.signed_in()
        key = session.key
        await parts.store.delete(key, reason)
    for _ in range(2):
        with pytest.raises(SignInRequired) as refused:
            await parts.refresh.session_with_fresh_token(key)
        assert refused.value.reason == (reason.value if reason else None)


async def test_a_rejected_token_is_renewed_once_and_a_newer_one_is_returned(parts: Parts) -> None:
    session = await parts.signed_in()
    await time_passes(60)
    rejected = token_fingerprint(session.tokens.access_token)
    assert await token_of(parts, session.key, rejected_token=rejected) == "access-1"
    assert await token_of(parts, session.key, rejected_token=rejected) == "access-1"
    assert len(parts.provider.refreshed) == 1


async def test_every_caller_with_a_rejected_token_waits_for_the_refresh_in_flight(parts: Parts) -> None:
    other = Parts(beside=parts)
    session = await parts.signed_in()
    await time_passes(60)
    rejected = token_fingerprint(session.tokens.access_token)
    parts.provider.delay = 2.0
    callers = [token_of(replica, session.key, rejected_token=rejected) for replica in (parts, parts, other, other)]
    assert await asyncio.gather(*callers) == ["access-1"] * 4
    assert len(parts.provider.refreshed) == 1


@pytest.mark.parametrize("age", [1.0, 60.0], ids=["new", "older"])
async def test_a_token_that_is_rejected_while_it_is_being_refreshed_waits_however_new_it_is(
    parts: Parts, age: float
) -> None:
    """Some providers end the old access token with the refresh."""
    session = await parts.signed_in()
    await time_passes(age)
    tokens = replace(session.tokens, refresh_at=parts.now, received_at=parts.now - age)
    await parts.store.replace(replace(session, version=2, tokens=tokens), 1)
    parts.provider.delay = 2.0
    assert await token_of(parts, session.key) == session.tokens.access_token
    await time_passes(0.5)
    rejected = token_fingerprint(session.tokens.access_token)
    assert await token_of(parts, session.key, rejected_token=rejected) == "access-1"
    assert len(parts.provider.refreshed) == 1


async def test_a_rejected_token_is_returned_again_only_when_no_refresh_is_under_way(parts: Parts) -> None:
    session = await parts.signed_in()
    await time_passes(60)
    rejected = token_fingerprint(session.tokens.access_token)
    parts.provider.answers = [UNKNOWN] * 40
    first = asyncio.create_task(token_of(parts, session.key, rejected_token=rejected))
    await time_passes(3)  # its outcome is unknown, and the holder asks again inside the grace period
    for caller in (token_of(parts, session.key, rejected_token=rejected), first):
        with pytest.raises(ProviderUnavailable):
            await caller
    await time_passes(POLICY.grace)
    assert await token_of(parts, session.key, rejected_token=rejected) == session.tokens.access_token


async def test_a_store_that_is_away_is_503_and_ends_nothing(parts: Parts) -> None:
    session = await parts.expired()
    parts.data.down = True
    assert await answer_of(parts, session.key) == "store_unavailable"
    parts.data.down = False
    assert await token_of(parts, session.key) == "access-1"


async def test_tokens_that_cannot_be_stored_are_kept_until_the_store_is_back(parts: Parts) -> None:
    session = await parts.expired()
    parts.provider.delay = 2.0
    caller = asyncio.create_task(answer_of(parts, session.key))
    await time_passes(1)
    parts.data.down = True
    await time_passes(300)
    assert await caller == "provider_unavailable"
    parts.data.down = False
    await time_passes(5)
    assert await token_of(parts, session.key) == "access-1"
    assert len(parts.provider.refreshed) == 1


async def test_a_refresh_that_the_store_lost_is_written_again(parts: Parts) -> None:
    session = await parts.expired()
    before = replace(parts.data.sessions[session.key])
    assert await token_of(parts, session.key) == "access-1"
    parts.data.sessions[session.key] = before  # a failover to a replica without the write
    assert await token_of(parts, session.key) == "access-1"
    assert len(parts.provider.refreshed) == 1


async def test_peek_refreshes_nothing_and_encrypts_again_under_the_newest_key(parts: Parts) -> None:
    old, new = new_key(), new_key()
    parts.ring.replace_keys([old])
    session = await parts.expired()
    parts.ring.replace_keys([new, old])
    await parts.refresh.peek(session.key)
    await parts.settled()
    assert parts.provider.refreshed == []
    alone = MemoryStore(parts.data, KeyRing.from_keys([new]))
    assert isinstance(await alone.get(session.key), Found)


async def test_without_a_refresh_token_the_session_ends_with_its_access_token(parts: Parts) -> None:
    session = await parts.expired()
    without = replace(session, version=3, tokens=replace(session.tokens, refresh_token=None))
    await parts.store.replace(without, 2)
    assert await answer_of(parts, session.key) == "sign_in_required no_refresh_token"


@pytest.mark.case("DS-013")
async def test_a_throttled_client_asks_nothing_until_it_may(parts: Parts) -> None:
    first, second = await parts.expired(), await parts.expired()
    parts.provider.answers = [Postponed(30.0, client_wide=True)]
    assert await answer_of(parts, first.key) == "provider_unavailable"
    with pytest.raises(ProviderUnavailable) as refused:
        await parts.refresh.session_with_fresh_token(second.key)
    assert 1 <= (refused.value.retry_after or 0) <= 32
    assert len(parts.provider.refreshed) == 1
    await time_passes(35)
    assert await token_of(parts, second.key) == "access-2"


async def test_callers_of_two_replicas_share_one_request(parts: Parts) -> None:
    other, session = Parts(beside=parts), await parts.expired()
    parts.provider.delay = 2.0
    assert set(await asyncio.gather(token_of(parts, session.key), token_of(other, session.key))) == {"access-1"}
    assert len(parts.provider.refreshed) == 1
