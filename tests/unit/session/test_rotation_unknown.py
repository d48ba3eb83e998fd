"""`apply_token_response`, row by row: what an answer makes of the record that is none, or that consumed nothing."""

from dataclasses import replace

import pytest

from bff.oidc.token import Denied, NoAnswer, Postponed, TokenResult
from bff.session.rotation import RetryLater, SendRefresh, decide
from bff.session.timing import RESEND_MARGIN, backoff, inside_grace
from bff.session.token_response import apply_token_response
from tests.harness.refresh_records import (
    KEY,
    NOT_ASSIGNED,
    NOW,
    POLICY,
    UNKNOWN,
    UNSENT,
    answered,
    due,
    expired,
    reserve,
    sent,
    unknown,
    with_attempt,
)

# --- certainly not consumed ------------------------------------------------------------------------------------------


@pytest.mark.case("RF-001")
@pytest.mark.parametrize("answer", [UNSENT, Postponed(None), Denied(401, "invalid_client")])
def test_what_was_not_consumed_leaves_no_trace_but_the_spacing(answer: TokenResult) -> None:
    reserved = reserve(due())
    session, attempt = unknown(answered(reserved, answer))
    assert session == replace(reserved, version=reserved.version + 1, attempt=attempt)
    assert (attempt.first_sent_at, attempt.lease_until) == (None, NOW + 1)
    assert attempt.not_before == NOW + 1 + backoff(1, KEY)


@pytest.mark.parametrize("answer", [UNSENT, Postponed(None), Denied(401, "invalid_client"), NOT_ASSIGNED])
def test_an_earlier_unknown_outcome_stays_unknown(answer: TokenResult) -> None:
    reserved = reserve(with_attempt(due(), first_sent_at=NOW - 15))
    _, attempt = unknown(answered(reserved, answer))
    assert attempt.first_sent_at == NOW - 15


@pytest.mark.case("RF-038")
@pytest.mark.parametrize("seconds", [0.0, 5.0, 3600.0])
def test_a_429_is_waited_for_as_long_as_it_says(seconds: float) -> None:
    session, attempt = unknown(answered(reserve(expired()), Postponed(seconds)))
    assert attempt.not_before == NOW + 1 + seconds
    assert isinstance(decide(session, attempt.not_before, POLICY), SendRefresh)


@pytest.mark.parametrize("answer", [UNSENT, Postponed(None), Denied(401, "invalid_client"), NOT_ASSIGNED, UNKNOWN])
def test_after_many_tries_an_earlier_unknown_outcome_is_asked_for_once_more_in_its_grace(answer: TokenResult) -> None:
    reserved = reserve(with_attempt(due(), tries=6, first_sent_at=NOW - 12))
    session, attempt = unknown(answered(reserved, answer))
    assert backoff(attempt.tries, KEY) > 8, "or the back-off alone would have come in time"
    assert attempt.not_before == NOW - 12 + POLICY.grace - POLICY.timeout - RESEND_MARGIN
    assert isinstance(decide(session, attempt.not_before, POLICY), SendRefresh)


def test_a_429_never_moves_the_clock_back() -> None:
    _, attempt = unknown(answered(reserve(due()), Postponed(-5.0)))
    assert attempt.not_before == NOW + 1


@pytest.mark.case("RF-038")
@pytest.mark.parametrize("answer", [Postponed(3600.0), NoAnswer(False, retry_after=3600.0)])
def test_a_long_wait_does_not_outlast_the_grace_of_an_earlier_unknown_outcome(answer: TokenResult) -> None:
    reserved = reserve(with_attempt(due(), first_sent_at=NOW - 5))
    session, attempt = unknown(answered(reserved, answer))
    assert inside_grace(attempt, attempt.not_before + 1, POLICY)
    again = decide(session, attempt.not_before + 1, POLICY)
    assert isinstance(again, SendRefresh)
    assert not again.after_grace


def test_a_long_wait_is_kept_once_the_grace_is_over() -> None:
    reserved = reserve(with_attempt(expired(), first_sent_at=NOW - 500))
    _, attempt = unknown(answered(reserved, Postponed(3600.0)))
    assert attempt.not_before == NOW + 1 + 3600


# --- an unknown outcome ----------------------------------------------------------------------------------------------


@pytest.mark.case("RF-006")
def test_a_quick_failure_is_sent_again_at_once_by_the_same_holder() -> None:
    reserved = reserve(due())
    session, attempt = unknown(answered(reserved, UNKNOWN, after=0.5), resend=True)
    assert session == replace(reserved, version=reserved.version + 1, attempt=attempt)
    assert attempt.first_sent_at == NOW
    assert attempt.lease_until == NOW + 0.5
    assert attempt.not_before == NOW + 0.5 + backoff(1, KEY)
    again = sent(session, NOW + 0.5, resend=True)
    assert (again.attempt.tries, again.attempt.first_sent_at) == (2, NOW)


@pytest.mark.case("RF-002")
@pytest.mark.parametrize(("after", "quick"), [(0.0, True), (1.999, True), (2.0, False), (8.0, False)])
def test_only_a_failure_within_two_seconds_is_quick(after: float, quick: bool) -> None:
    unknown(answered(reserve(due()), UNKNOWN, after=after), resend=quick)


def test_the_third_try_is_not_repeated_at_once() -> None:
    first = reserve(due())
    session, _ = unknown(apply_token_response(first, first, UNKNOWN, NOW + 0.5, POLICY), resend=True)
    second = reserve(session, NOW + 0.5, resend=True)
    session, _ = unknown(apply_token_response(second, second, UNKNOWN, NOW + 1, POLICY), resend=True)
    third = reserve(session, NOW + 1, resend=True)
    session, attempt = unknown(apply_token_response(third, third, UNKNOWN, NOW + 1.5, POLICY))
    assert attempt.first_sent_at == NOW
    assert attempt.not_before == NOW + 1.5 + backoff(3, KEY)


def test_a_late_send_is_not_repeated_at_once() -> None:
    reserved = reserve(with_attempt(expired(), first_sent_at=NOW - 100))
    session, attempt = unknown(answered(reserved, UNKNOWN, after=0.1))
    assert attempt.after_grace
    assert decide(session, NOW + 0.1, POLICY) == RetryLater(attempt.not_before)


@pytest.mark.case("RF-026")
@pytest.mark.parametrize(
    ("grace", "quick"), [(0.0, False), (2.0, False), (2.5, False), (2.6, True), (5.0, True), (60.0, True)]
)
def test_there_is_a_quick_resend_only_while_two_seconds_of_the_grace_are_left(grace: float, quick: bool) -> None:
    policy = replace(POLICY, grace=grace)
    unknown(answered(reserve(due(), policy=policy), UNKNOWN, after=0.5, policy=policy), resend=quick)


def test_a_retry_after_does_not_delay_a_send_inside_the_grace() -> None:
    reserved = reserve(due())
    _, attempt = unknown(answered(reserved, NoAnswer(True, retry_after=600.0), after=5))
    assert attempt.not_before == NOW + 5 + backoff(1, KEY)


def test_a_retry_after_is_kept_when_the_back_off_would_outlast_the_grace() -> None:
    reserved = reserve(with_attempt(due(), tries=3, first_sent_at=NOW - 20))
    _, attempt = unknown(answered(reserved, NoAnswer(True, retry_after=600.0), after=2))
    assert attempt.not_before == NOW + 602


@pytest.mark.parametrize(("retry_after", "wait"), [(600.0, 600.0), (0.0, None)])
def test_a_retry_after_spaces_late_sends(retry_after: float, wait: float | None) -> None:
    reserved = reserve(with_attempt(expired(), first_sent_at=NOW - 100))
    _, attempt = unknown(answered(reserved, NoAnswer(True, retry_after=retry_after)))
    assert attempt.not_before == NOW + 1 + (backoff(2, KEY) if wait is None else wait)


def test_with_grace_0_an_unknown_outcome_spares_the_token_until_there_is_no_other_way() -> None:
    policy = replace(POLICY, grace=0)
    session, attempt = unknown(answered(reserve(due(), policy=policy), UNKNOWN, policy=policy))
    now = attempt.not_before
    assert not isinstance(decide(session, now, policy), SendRefresh)  # the access token is good
    after_grace = decide(session, due().tokens.usable_until, policy)
    assert isinstance(after_grace, SendRefresh)
    assert after_grace.after_grace
