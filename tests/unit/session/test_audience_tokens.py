"""Tokens by audience in a record: what may be done with one, and how a response changes it."""

from dataclasses import replace

import pytest

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.session import audience_tokens as table
from bff.session.audience_tokens import (
    AwaitToken,
    RequestToken,
    RetryToken,
    UseToken,
    apply_answer,
    decide_token,
    entry,
    entry_name,
    extend_lease,
    refuses_subject,
    reserve_token,
    revocable_tokens,
    without_oldest,
)
from bff.session.session import RefreshAttempt, Session
from bff.session.timing import token_fingerprint
from tests.harness.example_session import a_session

NAME, OTHER = entry_name("exchange", "a"), entry_name("exchange", "b")
NOW, LEASE = 1000.0, 10.0


def granted(token: str = "for-a", lifetime: int | None = 600) -> Granted:
    return Granted(TokenResponse(token, lifetime))


def reserved(session: Session, now: float = NOW, name: str = NAME, **more: str) -> Session:
    return reserve_token(session, name, now, lease=LEASE, attempt_id="mine", **more)


def answered(session: Session, answer: TokenResult, now: float = NOW, name: str = NAME) -> Session:
    after = apply_answer(session, name, "mine", answer, now, asked_at=now, before_expiry=60.0, revocable=name == NAME)
    assert after is not None
    return after


def with_token(token: str = "for-a", now: float = NOW) -> Session:
    return answered(reserved(a_session(now), now), granted(token), now)


def test_a_request_moves_neither_the_rotation_nor_the_attempt_of_the_session() -> None:
    before = a_session(NOW)
    after = answered(reserved(before), granted())
    assert after.version == before.version + 2
    assert replace(after, version=before.version, audience_tokens=None) == before


def test_a_cold_audience_is_requested_once_and_awaited_by_the_others() -> None:
    session = a_session(NOW)
    assert decide_token(session, NAME, NOW) == RequestToken()
    session = reserved(session)
    assert decide_token(session, NAME, NOW + 9.9) == AwaitToken(NOW + LEASE)
    assert decide_token(session, OTHER, NOW) == RequestToken()
    assert decide_token(session, NAME, NOW + LEASE) == RequestToken()  # its holder is gone


def test_a_token_is_used_then_renewed_ahead_and_never_used_after_its_end() -> None:
    session = with_token()
    kept = entry(session, NAME)
    assert kept.access_token == "for-a"
    assert NOW < kept.refresh_at < kept.usable_until < NOW + 600
    assert decide_token(session, NAME, kept.refresh_at - 1) == UseToken(kept)
    assert decide_token(session, NAME, kept.refresh_at) == UseToken(kept, due=True)
    assert decide_token(session, NAME, kept.usable_until) == RequestToken()
    renewing = reserved(session, kept.refresh_at)
    assert decide_token(renewing, NAME, kept.refresh_at) == UseToken(entry(renewing, NAME))
    failed = answered(renewing, Denied(400, "invalid_target"), kept.refresh_at)
    assert decide_token(failed, NAME, kept.refresh_at) == UseToken(entry(failed, NAME))


@pytest.mark.parametrize(
    ("answer", "refused", "least"),
    [
        (Denied(400, "invalid_target"), "invalid_target", 0.75),
        (Granted(TokenResponse(None, None, "refresh", problem="there is no access token")), "no_access_token", 0.75),
        (Postponed(20.0), "", 20.0),
        (NoAnswer(True), "", 0.75),
        (NoAnswer(False, retry_after=5.0), "", 5.0),
    ],
)
def test_a_failure_is_remembered_for_a_while(answer: TokenResult, refused: str, least: float) -> None:
    session = answered(reserved(a_session(NOW)), answer)
    decision = decide_token(session, NAME, NOW)
    assert isinstance(decision, RetryToken)
    assert decision.refused == refused
    assert decision.at >= NOW + least
    assert decide_token(session, NAME, decision.at) == RequestToken()
    again = answered(reserved(session, decision.at), answer, decision.at)
    following = decide_token(again, NAME, decision.at)
    assert isinstance(following, RetryToken)
    assert following.at - decision.at >= decision.at - NOW


def test_a_rejected_token_is_renewed_once_and_not_while_it_is_new() -> None:
    session, rejected = with_token(), token_fingerprint("for-a")
    assert decide_token(session, NAME, NOW + 29, rejected=rejected) == UseToken(entry(session, NAME))
    assert decide_token(session, NAME, NOW + 31, rejected=rejected) == RequestToken()
    renewing = reserved(session, NOW + 31, rejected=rejected)
    assert decide_token(renewing, NAME, NOW + 31, rejected=rejected) != UseToken(entry(renewing, NAME), due=True)
    refused = answered(renewing, NoAnswer(True), NOW + 31)
    assert decide_token(refused, NAME, NOW + 99, rejected=rejected) == UseToken(entry(refused, NAME))
    renewed = answered(renewing, granted("newer"), NOW + 31)
    assert decide_token(renewed, NAME, NOW + 31, rejected=rejected) == UseToken(entry(renewed, NAME))


def test_callers_with_a_rejected_token_wait_for_its_renewal() -> None:
    rejected = token_fingerprint("for-a")
    renewing = reserved(with_token(), NOW + 31)  # by another replica, for another reason
    assert decide_token(renewing, NAME, NOW + 32, rejected=rejected) == AwaitToken(NOW + 31 + LEASE)


def test_a_resource_waits_for_the_refresh_chain() -> None:
    attempt = RefreshAttempt("other", 1, NOW, NOW + LEASE, not_before=NOW + 20)
    session = replace(a_session(NOW), attempt=attempt)
    assert decide_token(session, NAME, NOW, by_refresh=True) == AwaitToken(NOW + LEASE)
    assert decide_token(session, NAME, NOW + LEASE, by_refresh=True) == RetryToken(NOW + 20, "")
    assert decide_token(session, NAME, NOW + 20, by_refresh=True) == RequestToken()
    assert decide_token(session, NAME, NOW) == RequestToken()  # an exchange does not


def test_a_response_of_an_attempt_that_was_overtaken_changes_nothing() -> None:
    overtaken = reserve_token(reserved(a_session(NOW)), NAME, NOW + LEASE, lease=LEASE, attempt_id="theirs")
    options = {"asked_at": NOW, "before_expiry": 60.0, "revocable": False}
    assert apply_answer(overtaken, NAME, "mine", granted(), NOW + LEASE, **options) is None  # type: ignore[arg-type]
    assert extend_lease(overtaken, NAME, "mine", NOW, LEASE) is None
    extended = extend_lease(overtaken, NAME, "theirs", NOW + 15, LEASE)
    assert extended is not None
    assert entry(extended, NAME).lease_until == NOW + 25
    dropped = replace(overtaken, audience_tokens=None)  # its reservation gave way
    assert apply_answer(dropped, NAME, "mine", granted(), NOW, **options) is not None  # type: ignore[arg-type]


def test_entries_beyond_the_space_are_dropped_the_oldest_first() -> None:
    session = a_session(NOW)
    names = [entry_name("exchange", str(number)) for number in range(4)]
    for number, name in enumerate(names):
        reserved_ = reserved(session, NOW + number, name)
        session = answered(reserved_, granted("x" * 7000), NOW + number, name)
    assert list(session.audience_tokens or ()) == names[1:]
    for number in range(table.MOST_ENTRIES + 5):
        name = entry_name("small", str(number))
        session = answered(reserved(session, NOW + 100 + number, name), granted("s"), NOW + 100 + number, name)
    assert len(session.audience_tokens or ()) == table.MOST_ENTRIES
    assert names[3] not in (session.audience_tokens or {})
    assert len(without_oldest(session).audience_tokens or ()) == table.MOST_ENTRIES - 1
    assert without_oldest(a_session(NOW)).audience_tokens is None


def test_only_tokens_of_the_sessions_own_client_and_issuer_are_revoked() -> None:
    session = with_token()
    session = answered(reserved(session, NOW, OTHER), granted("for-b"), NOW, OTHER)
    assert [token for token, _ in revocable_tokens(session, NOW)] == ["for-a"]
    assert revocable_tokens(session, NOW + 600) == ()


def test_an_entry_of_a_newer_version_is_read_and_a_broken_one_counts_as_missing() -> None:
    session = with_token()
    kept = dict((session.audience_tokens or {})[NAME])
    newer = replace(session, audience_tokens={NAME: {**kept, "invented_later": 1}, OTHER: "broken"})
    assert entry(newer, NAME).access_token == "for-a"
    assert decide_token(newer, OTHER, NOW) == RequestToken()
    assert "for-a" not in repr(newer)
    assert "for-a" not in repr(entry(newer, NAME))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Denied(400, "invalid_grant"), True),
        (Denied(400, "invalid_request"), True),
        (Denied(400, "invalid_token"), True),
        (Denied(401, "invalid_token"), False),
        (Denied(400, "invalid_target"), False),
        (Denied(403, "access_denied"), False),
        (Postponed(), False),
        (NoAnswer(True), False),
        (granted(), False),
    ],
)
def test_which_refusals_may_be_of_the_subject_token(answer: TokenResult, expected: bool) -> None:
    assert refuses_subject(answer) is expected


def test_a_refusal_is_repeated_ever_more_rarely_up_to_five_minutes() -> None:
    session, now, times = a_session(NOW), NOW, []
    for _ in range(12):
        session = answered(reserved(session, now), Denied(400, "invalid_target"), now)
        times.append(entry(session, NAME).not_before - now)
        now = entry(session, NAME).not_before
    assert 0.75 <= times[0] <= 1.0
    assert 225 <= times[-1] <= 300


def test_a_token_that_has_no_space_is_refused_and_not_requested_at_every_call() -> None:
    session = answered(reserved(a_session(NOW)), granted("x" * (table.MAX_TOKEN + 1)))
    decision = decide_token(session, NAME, NOW)
    assert isinstance(decision, RetryToken)
    assert decision.refused == table.TOO_LARGE
