"""`decide`, row by row, once a lease has lapsed: who sends the token again, until when, and when it is marked late."""

from dataclasses import replace

import pytest

from bff.session.rotation import RetryLater, SendRefresh, SignInAgain, UseAccessToken, decide
from bff.session.session import EndReason, RefreshAttempt, Session
from tests.harness.refresh_records import (
    NOW,
    POLICY,
    decision_on,
    due,
    expired,
    sent,
    with_alternate,
    with_attempt,
)

GRACES = (0.0, 5.0, 8.0, 10.0, 18.0, 30.0, 60.0)


# --- an attempt whose lease has lapsed -------------------------------------------------------------------------------


def test_before_not_before_nobody_sends() -> None:
    assert decision_on(with_attempt(due(), not_before=NOW + 3)) == UseAccessToken()
    assert decision_on(with_attempt(expired(), not_before=NOW + 3)) == RetryLater(NOW + 3)
    assert isinstance(decision_on(with_attempt(expired(), not_before=NOW)), SendRefresh)


@pytest.mark.case("RF-015", "RF-016")
@pytest.mark.parametrize("record", [due(), expired()], ids=["valid", "expired"])
def test_inside_the_grace_the_same_token_is_sent_again_and_the_grace_is_counted_from_the_first_send(
    record: Session,
) -> None:
    decision = sent(with_attempt(record, tries=2, first_sent_at=NOW - 15, denied_at=NOW - 40))
    assert decision.after_grace is False
    assert decision.reserved.tokens.refresh_token == record.tokens.refresh_token
    assert decision.attempt == RefreshAttempt(
        attempt_id="ours",
        tries=3,
        first_sent_at=NOW - 15,
        lease_until=NOW + 10,
        previous_first_sent_at=NOW - 15,
        denied_at=NOW - 40,
    )


def test_a_token_that_never_left_is_sent_whenever_it_may_be() -> None:
    decision = sent(with_attempt(expired(), first_sent_at=None, lease_until=NOW - 9999))
    assert decision.after_grace is False
    assert decision.attempt.first_sent_at == NOW
    assert decision.attempt.previous_first_sent_at is None


@pytest.mark.case("RF-026")
@pytest.mark.parametrize("grace", GRACES)
def test_the_last_moment_for_a_resend_leaves_time_for_the_answer(grace: float) -> None:
    """With a grace of 0, every resend is late."""
    policy = replace(POLICY, grace=grace)
    last = NOW + grace - 8
    record = with_attempt(expired(usable_until=NOW - 60), first_sent_at=NOW, lease_until=NOW - 100)
    assert sent(record, last, policy).after_grace is False
    assert sent(record, last + 0.001, policy).after_grace is True


def test_outside_the_grace_a_good_access_token_is_used_first() -> None:
    assert decision_on(with_attempt(due(), first_sent_at=NOW - 23)) == UseAccessToken()


@pytest.mark.case("RF-005")
def test_outside_the_grace_an_expired_token_is_renewed_late_and_marked_so() -> None:
    decision = sent(with_attempt(expired(), tries=4, first_sent_at=NOW - 23))
    assert decision.after_grace is True
    assert decision.attempt.after_grace is True
    assert decision.attempt.tries == 5
    assert decision.attempt.first_sent_at == NOW - 23


def test_late_sends_are_spaced() -> None:
    record = with_attempt(expired(), first_sent_at=NOW - 100, after_grace=True, not_before=NOW + 8)
    assert decision_on(record) == RetryLater(NOW + 8)


def test_late_sends_can_be_turned_off() -> None:
    policy = replace(POLICY, after_grace=False)
    lost = with_attempt(expired(), first_sent_at=NOW - 23)
    assert decision_on(lost, policy=policy) == SignInAgain(EndReason.ROTATION_LOST)
    assert decision_on(with_attempt(due(), first_sent_at=NOW - 23), policy=policy) == UseAccessToken()
    assert sent(with_attempt(expired(), first_sent_at=None), policy=policy).after_grace is False


# --- a quick resend by the same holder -------------------------------------------------------------------------------


def test_a_quick_resend_does_not_wait_for_not_before() -> None:
    record = with_attempt(due(), first_sent_at=NOW - 1, lease_until=NOW, not_before=NOW + 1)
    assert decision_on(record) == UseAccessToken()
    assert sent(record, resend=True).after_grace is False


def test_a_quick_resend_ends_with_the_attempt_that_failed_quickly() -> None:
    """Another holder was answered meanwhile: the pause that the provider asked of it holds for everybody."""
    record = with_attempt(expired(), attempt_id="theirs", first_sent_at=NOW - 1, lease_until=NOW, not_before=NOW + 9)
    assert decide(record, NOW, POLICY, resend_of="ours") == RetryLater(NOW + 9)
    assert isinstance(decide(record, NOW, POLICY, resend_of="theirs"), SendRefresh)
    short = replace(POLICY, grace=3.0)
    record = with_attempt(due(), attempt_id="theirs", first_sent_at=NOW, lease_until=NOW)
    assert decide(record, NOW, short, resend_of="ours") == UseAccessToken()
    assert isinstance(decide(record, NOW, short, resend_of="theirs"), SendRefresh)


@pytest.mark.parametrize("grace", [3.0, 5.0, 10.0, 30.0, 60.0])
def test_a_quick_resend_is_made_while_two_seconds_of_the_grace_are_left(grace: float) -> None:
    policy = replace(POLICY, grace=grace)
    record = with_attempt(expired(), first_sent_at=NOW, lease_until=NOW)
    assert sent(record, NOW + grace - 2.001, policy, resend=True).after_grace is False
    assert sent(record, NOW + grace - 2, policy, resend=True).after_grace is True


# --- the alternate ---------------------------------------------------------------------------------------------------


def test_inside_the_grace_the_alternate_waits() -> None:
    decision = sent(with_alternate(with_attempt(expired())))
    assert decision.reserved.tokens.refresh_token == "refresh-3"
    assert decision.reserved.concurrent_successor is not None


@pytest.mark.case("RF-022")
@pytest.mark.parametrize("record", [due(), expired()], ids=["valid", "expired"])
@pytest.mark.parametrize("after_grace", [True, False], ids=["after grace on", "after grace off"])
def test_outside_the_grace_a_sleepers_successor_is_used_and_nothing_is_sent_late(
    record: Session, after_grace: bool
) -> None:
    record = with_alternate(with_attempt(record, first_sent_at=NOW - 100, tries=3))
    decision = sent(record, policy=replace(POLICY, after_grace=after_grace))
    reserved, attempt = decision.reserved, decision.attempt
    assert (decision.after_grace, attempt.after_grace) == (False, False)
    assert (reserved.tokens.refresh_token, reserved.concurrent_successor) == ("refresh-4b", None)
    assert (reserved.rotation, reserved.version) == (record.rotation + 1, record.version + 1)
    assert (attempt.first_sent_at, attempt.previous_first_sent_at) == (NOW, None)


def test_an_alternate_of_an_earlier_rotation_is_not_preferred_to_the_sessions_own_token() -> None:
    record = with_alternate(with_attempt(expired(), first_sent_at=NOW - 100), rotation=2)
    decision = sent(record)
    assert decision.after_grace is True
    assert decision.reserved.tokens.refresh_token == "refresh-3"
