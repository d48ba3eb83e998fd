"""`apply_token_response`: responses that certainly consumed nothing, and unknown outcomes."""

from dataclasses import replace

import pytest

from bff.oidc.token import NoAnswer, Postponed, TokenResult
from bff.session.rotation import RetryLater, SendRefresh, UseAccessToken
from bff.session.timing import MAX_UNANSWERED_BACKOFF, MIN_BACKOFF, RESEND_MARGIN, backoff
from bff.session.token_response import Pending
from tests.harness.refresh_records import (
    INVALID_CLIENT,
    KEY,
    NOT_ASSIGNED,
    NOW,
    POLICY,
    UNKNOWN,
    UNSENT,
    attempt_of,
    decision_on,
    due,
    expired,
    pending,
    reserved,
    respond,
    with_attempt,
)

NOT_CONSUMED = [UNSENT, Postponed(None), INVALID_CLIENT]
LAST_RESEND = POLICY.grace - POLICY.timeout - RESEND_MARGIN  # 20 seconds after the first send


@pytest.mark.case("RF-001")
@pytest.mark.parametrize("answer", NOT_CONSUMED)
def test_what_was_not_consumed_changes_nothing_but_the_spacing(answer: TokenResult) -> None:
    record = reserved(due())
    waiting = replace(attempt_of(record), first_sent_at=None, lease_until=NOW + 1, not_before=NOW + 1 + backoff(1, KEY))
    assert respond(record, answer) == Pending(replace(record, version=record.version + 1, attempt=waiting))


@pytest.mark.parametrize("answer", [*NOT_CONSUMED, NOT_ASSIGNED])
def test_an_earlier_unknown_outcome_stays_unknown(answer: TokenResult) -> None:
    _, attempt = pending(respond(reserved(with_attempt(due())), answer))
    assert attempt.first_sent_at == NOW - 15


@pytest.mark.case("RF-038")
@pytest.mark.parametrize(("wait", "waited"), [(0.0, 0.0), (5.0, 5.0), (3600.0, 3600.0), (-5.0, 0.0)])
def test_a_429_is_waited_for_as_long_as_it_says(wait: float, waited: float) -> None:
    session, attempt = pending(respond(reserved(expired()), Postponed(wait)))
    assert attempt.not_before == NOW + 1 + waited
    assert isinstance(decision_on(session, attempt.not_before), SendRefresh)


@pytest.mark.case("RF-038")
@pytest.mark.parametrize(
    ("answer", "tries", "first", "not_before"),
    [
        # One more send inside the grace period, although the back-off or the provider would wait for longer.
        *[(answer, 6, -12, -12 + LAST_RESEND) for answer in (*NOT_CONSUMED, NOT_ASSIGNED) if answer != UNSENT],
        *[(answer, 6, -18.0, -18 + LAST_RESEND) for answer in (UNSENT, UNKNOWN)],
        (Postponed(3600.0), 1, -5, -5 + LAST_RESEND),
        (NoAnswer(False, retry_after=3600.0), 1, -5, -5 + LAST_RESEND),
        # A shorter wait is kept.
        (Postponed(5.0), 1, -5, 6),
        (INVALID_CLIENT, 1, -5, 1 + backoff(2, KEY)),
        # There is no time left for one, or it would come sooner than the back-off.
        (Postponed(3600.0), 1, -500, 3601),
        (Postponed(3600.0), 1, -18, 3601),
        (Postponed(3600.0), 4, -12, 3601),
        (INVALID_CLIENT, 6, -18.5, 1 + backoff(7, KEY)),
        (INVALID_CLIENT, 6, -18.25, 1 + MIN_BACKOFF),
        (UNKNOWN, 6, -18.5, 1 + backoff(7, KEY, MAX_UNANSWERED_BACKOFF)),
        (UNKNOWN, 6, -18.25, 1 + MIN_BACKOFF),
    ],
)
def test_a_wait_does_not_outlast_the_grace_period_of_an_earlier_unknown_outcome(
    answer: TokenResult, tries: int, first: float, not_before: float
) -> None:
    record = reserved(with_attempt(expired(), tries=tries, first_sent_at=NOW + first))
    session, attempt = pending(respond(record, answer))
    assert attempt.not_before == NOW + not_before
    decision = decision_on(session, attempt.not_before)
    assert isinstance(decision, SendRefresh)
    assert decision.after_grace is (not_before > first + 22)


@pytest.mark.case("RF-006")
def test_a_quick_failure_is_resent_at_once_by_the_same_holder() -> None:
    record = reserved(due())
    waiting = replace(attempt_of(record), lease_until=NOW + 0.5, not_before=NOW + 0.5 + backoff(1, KEY))
    session = replace(record, version=record.version + 1, attempt=waiting)
    assert respond(record, UNKNOWN, after=0.5) == Pending(session, resend=True)
    assert waiting.first_sent_at == NOW
    again = attempt_of(reserved(session, NOW + 0.5, resend=True))
    assert (again.tries, again.first_sent_at) == (2, NOW)


@pytest.mark.case("RF-002")
@pytest.mark.parametrize(("after", "quick"), [(0.0, True), (1.999, True), (2.0, False), (8.0, False)])
def test_a_failure_within_two_seconds_is_quick(after: float, quick: bool) -> None:
    pending(respond(reserved(due()), UNKNOWN, after), resend=quick)


def test_the_third_try_is_not_repeated_at_once() -> None:
    session, _ = pending(respond(reserved(due()), UNKNOWN, after=0.5), resend=True)
    session, _ = pending(respond(reserved(session, NOW + 0.5, resend=True), UNKNOWN, after=1), resend=True)
    _, attempt = pending(respond(reserved(session, NOW + 1, resend=True), UNKNOWN, after=1.5))
    assert (attempt.first_sent_at, attempt.not_before) == (NOW, NOW + 1.5 + backoff(3, KEY, MAX_UNANSWERED_BACKOFF))


def test_a_send_after_the_grace_period_is_not_repeated_at_once() -> None:
    session, attempt = pending(respond(reserved(with_attempt(expired(), first_sent_at=NOW - 100)), UNKNOWN, after=0.1))
    assert attempt.after_grace
    assert decision_on(session, NOW + 0.1) == RetryLater(attempt.not_before)


@pytest.mark.case("RF-026")
@pytest.mark.parametrize(
    ("grace", "quick"), [(0.0, False), (2.0, False), (2.5, False), (2.6, True), (5.0, True), (60.0, True)]
)
def test_a_quick_resend_needs_two_seconds_of_the_grace_period(grace: float, quick: bool) -> None:
    policy = replace(POLICY, grace=grace)
    pending(respond(reserved(due(), policy=policy), UNKNOWN, 0.5, policy), resend=quick)


@pytest.mark.parametrize(
    ("tries", "first", "after", "retry_after", "wait"),
    [
        (0, 0.0, 5, 600.0, backoff(1, KEY)),  # inside the grace period waiting would lose the token
        (3, -20.0, 2, 600.0, 600.0),  # the back-off alone outlasts it
        (1, -100.0, 2, 600.0, 600.0),
        (1, -100.0, 2, 0.0, backoff(2, KEY)),
    ],
)
def test_a_retry_after_of_an_unknown_outcome_spaces_sends_after_the_grace_period_only(
    tries: int, first: float, after: float, retry_after: float, wait: float
) -> None:
    record = reserved(with_attempt(expired(), tries=tries, first_sent_at=NOW + first))
    _, attempt = pending(respond(record, NoAnswer(True, retry_after=retry_after), after))
    assert attempt.not_before == NOW + after + wait


def test_without_grace_an_unknown_outcome_is_resent_only_when_the_access_token_has_expired() -> None:
    policy = replace(POLICY, grace=0)
    session, attempt = pending(respond(reserved(due(), policy=policy), UNKNOWN, policy=policy))
    assert decision_on(session, attempt.not_before, policy) == UseAccessToken()
    assert decision_on(session, due().tokens.usable_until, policy) == SendRefresh(after_grace=True)
