"""`decide`, row by row: what a caller may do with a record, and what is reserved when it may send."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.session.rotation import (
    AwaitRefresh,
    RetryLater,
    SendRefresh,
    SignInAgain,
    UseAccessToken,
    reserve,
)
from bff.session.session import EndReason, RefreshAttempt, Session
from bff.session.timing import may_send, token_fingerprint
from tests.harness.policy import Policy
from tests.harness.refresh_records import (
    NOW,
    POLICY,
    decision_on,
    due,
    expired,
    fresh,
    sent,
    with_alternate,
    with_attempt,
)

# --- the session's own limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", [fresh(), due(), expired(), with_attempt(due()), with_attempt(expired())])
def test_past_its_end_a_session_is_over_in_every_state(record: Session) -> None:
    record = replace(record, ends_at=NOW)
    assert decision_on(record) == SignInAgain(EndReason.ABSOLUTE_TIMEOUT)
    assert decision_on(record, NOW - 0.001) != SignInAgain(EndReason.ABSOLUTE_TIMEOUT)


@pytest.mark.parametrize("record", [fresh(), due(), expired(), with_attempt(expired())])
def test_past_the_idle_limit_a_session_is_over_in_every_state(record: Session) -> None:
    assert decision_on(record, last_seen_at=NOW - 3600) == SignInAgain(EndReason.IDLE_TIMEOUT)
    assert decision_on(record, last_seen_at=NOW - 3599.9) != SignInAgain(EndReason.IDLE_TIMEOUT)


def test_a_caller_that_does_not_know_when_the_session_was_seen_does_not_end_it() -> None:
    assert decision_on(fresh(), policy=replace(POLICY, idle_timeout=0.001)) == UseAccessToken()


# --- no attempt ------------------------------------------------------------------------------------------------------


def test_a_fresh_access_token_is_used() -> None:
    assert decision_on(fresh()) == UseAccessToken()


def test_renewal_is_due_at_refresh_at_and_not_before() -> None:
    record = due(refresh_at=NOW)
    assert decision_on(record, NOW - 0.001) == UseAccessToken()
    assert isinstance(decision_on(record, NOW), SendRefresh)


def test_a_token_past_its_use_is_due_whatever_its_refresh_at_says() -> None:
    assert isinstance(decision_on(fresh(usable_until=NOW, refresh_at=NOW + 100)), SendRefresh)


def test_without_a_refresh_token_the_access_token_is_used_to_its_end_and_then_sign_in_is_required() -> None:
    assert decision_on(due(refresh_token=None)) == UseAccessToken()
    assert decision_on(expired(refresh_token=None)) == SignInAgain(EndReason.NO_REFRESH_TOKEN)


def test_what_is_due_is_reserved_for_one_lease() -> None:
    record = due()
    decision = sent(record)
    assert decision.after_grace is False
    assert decision.reserved == replace(
        record,
        version=record.version + 1,
        attempt=RefreshAttempt(attempt_id="ours", tries=1, first_sent_at=NOW, lease_until=NOW + 10),
    )


def test_a_reservation_does_not_touch_tokens_rotation_or_alternate() -> None:
    record = with_alternate(with_attempt(due()))
    reserved = sent(record).reserved
    assert (reserved.tokens, reserved.rotation, reserved.concurrent_successor) == (
        record.tokens,
        record.rotation,
        record.concurrent_successor,
    )


# --- an attempt under a lease ----------------------------------------------------------------------------------------


def test_under_a_running_lease_nobody_else_sends() -> None:
    assert decision_on(with_attempt(due(), lease_until=NOW + 4)) == UseAccessToken()
    assert decision_on(with_attempt(expired(), lease_until=NOW + 4)) == AwaitRefresh(NOW + 4)


@pytest.mark.parametrize("resend", [False, True])
def test_not_even_its_own_holder_sends_under_a_running_lease(resend: bool) -> None:
    record = with_attempt(expired(), attempt_id="ours", lease_until=NOW + 4)
    assert decision_on(record, resend=resend) == AwaitRefresh(NOW + 4)


@pytest.mark.case("RF-062")
def test_a_dead_holder_is_waited_for_no_longer_than_its_lease() -> None:
    record = with_attempt(expired(usable_until=NOW - 60), lease_until=NOW)
    assert decision_on(record, NOW - 0.001) == AwaitRefresh(NOW)
    assert isinstance(decision_on(record, NOW), SendRefresh)


# --- a token that an upstream refused --------------------------------------------------------------------------------

REFUSED = token_fingerprint("access-3")


@pytest.mark.case("RF-058")
def test_a_token_that_an_upstream_refused_is_renewed_once() -> None:
    decision = sent(fresh(), rejected_token=REFUSED)
    assert decision.reserved.rejected_token == REFUSED
    after = replace(decision.reserved, attempt=None)
    assert decision_on(after, rejected_token=REFUSED) == UseAccessToken()


def test_a_refusal_of_another_token_changes_nothing() -> None:
    assert decision_on(fresh(), rejected_token=token_fingerprint("access-2")) == UseAccessToken()


def test_a_token_younger_than_thirty_seconds_was_refused_for_another_reason() -> None:
    assert decision_on(fresh(received_at=NOW - 29.9), rejected_token=REFUSED) == UseAccessToken()
    assert isinstance(decision_on(fresh(received_at=NOW - 30), rejected_token=REFUSED), SendRefresh)


def test_without_a_refresh_token_a_refused_token_is_all_there_is() -> None:
    assert decision_on(fresh(refresh_token=None), rejected_token=REFUSED) == UseAccessToken()


def test_whoever_was_refused_waits_for_the_renewal_under_way() -> None:
    record = with_attempt(due(), lease_until=NOW + 4)
    assert decision_on(record, rejected_token=REFUSED) == AwaitRefresh(NOW + 4)


def test_a_refusal_does_not_break_the_spacing_of_an_attempt() -> None:
    assert decision_on(with_attempt(due(), not_before=NOW + 3), rejected_token=REFUSED) == UseAccessToken()


# --- whatever the record ---------------------------------------------------------------------------------------------

moments = st.floats(min_value=NOW - 200, max_value=NOW + 200)
attempts = st.builds(
    RefreshAttempt,
    attempt_id=st.just("theirs"),
    tries=st.integers(1, 50),
    first_sent_at=st.none() | moments,
    lease_until=moments,
    not_before=st.just(0.0) | moments,
    previous_first_sent_at=st.none() | moments,
    after_grace=st.booleans(),
    denied_at=st.none() | moments,
)
tokens = st.fixed_dictionaries(
    {
        "usable_until": moments,
        "refresh_at": moments,
        "received_at": moments,
        "refresh_token": st.sampled_from(["refresh-3", None]),
    }
)
records = st.builds(
    lambda tokens, attempt, rotation: replace(
        with_alternate(fresh(**tokens), rotation=rotation) if rotation else fresh(**tokens), attempt=attempt
    ),
    tokens,
    st.none() | attempts,
    st.sampled_from([None, 2, 3]),
).filter(lambda record: record.tokens.refresh_token is not None or record.attempt is None)
policies = st.builds(Policy, grace=st.floats(0, 60), after_grace=st.booleans(), before_expiry=st.floats(0, 3600))


@given(records, policies, st.booleans(), st.sampled_from([None, REFUSED]))
def test_whatever_the_record_a_caller_has_an_answer_that_keeps_the_laws(
    record: Session, policy: Policy, resend: bool, rejected_token: str | None
) -> None:
    match decision_on(record, NOW, policy, resend=resend, rejected_token=rejected_token):
        case UseAccessToken():
            assert record.tokens.usable_until > NOW  # law 9
        case SendRefresh(after_grace) as decision:
            reserved = reserve(record, decision, NOW, policy, "ours")
            attempt = reserved.attempt
            assert attempt is not None
            assert reserved.version == record.version + 1  # law 3
            assert attempt.after_grace is after_grace
            assert attempt.lease_until == NOW + policy.lease
            assert attempt.tries == (record.attempt.tries + 1 if record.attempt else 1)
            assert record.attempt is None or record.attempt.lease_until <= NOW  # law 5
            promoted = reserved.tokens.refresh_token != record.tokens.refresh_token
            first = None if promoted or record.attempt is None else record.attempt.first_sent_at
            assert attempt.first_sent_at == (NOW if first is None else first)
            if not after_grace and first is not None:  # law 1
                assert first + policy.grace > NOW + 2
            assert not after_grace or (policy.after_grace and record.tokens.usable_until <= NOW)
            assert may_send(attempt, NOW, policy)
        case AwaitRefresh(until):
            assert record.attempt is not None
            assert NOW < until == record.attempt.lease_until
        case RetryLater(at):
            assert at > NOW
            assert record.tokens.usable_until <= NOW
        case SignInAgain(reason):
            assert record.tokens.usable_until <= NOW
            expected = EndReason.ROTATION_LOST if record.attempt else EndReason.NO_REFRESH_TOKEN
            assert reason is expected
