"""`decide` and `reserve`, row by row: what may be done with a record, and what is written before a token is sent."""

from dataclasses import replace
from typing import Any

import pytest

from bff.session.rotation import (
    AwaitRefresh,
    RefreshDecision,
    RetryLater,
    SendRefresh,
    SignInAgain,
    UseAccessToken,
    promote_successor,
)
from bff.session.session import EndReason, RefreshAttempt, Session
from bff.session.timing import token_fingerprint
from tests.harness.refresh_records import (
    NOW,
    POLICY,
    attempt_of,
    decision_on,
    due,
    expired,
    fresh,
    reserved,
    with_attempt,
    with_successor,
)

REJECTED = {"rejected_token": token_fingerprint("access-3")}
NO_LATE_SENDS = {"policy": replace(POLICY, after_grace=False)}
SHORT_GRACE = {"policy": replace(POLICY, grace=3.0)}
USE, SEND, SEND_LATE = UseAccessToken(), SendRefresh(), SendRefresh(after_grace=True)
LOST = 100  # seconds since the first send, long after the grace period


def sent(ago: float, session: Session, **attempt: Any) -> Session:
    return with_attempt(session, first_sent_at=NOW - ago, **attempt)


@pytest.mark.parametrize("record", [fresh(), due(), expired(), with_attempt(due()), with_attempt(expired())])
def test_a_session_past_its_limits_is_over_in_every_state(record: Session) -> None:
    ending = replace(record, ends_at=NOW)
    assert decision_on(ending) == SignInAgain(EndReason.ABSOLUTE_TIMEOUT)
    assert decision_on(ending, NOW - 0.001) != SignInAgain(EndReason.ABSOLUTE_TIMEOUT)
    assert decision_on(record, last_seen_at=NOW - 3600) == SignInAgain(EndReason.IDLE_TIMEOUT)
    assert decision_on(record, last_seen_at=NOW - 3599.9) != SignInAgain(EndReason.IDLE_TIMEOUT)
    assert not isinstance(decision_on(record, policy=replace(POLICY, idle_timeout=0.001)), SignInAgain)


@pytest.mark.parametrize(
    ("record", "arguments", "expected"),
    [
        # no attempt
        (fresh(), {}, USE),
        (due(refresh_at=NOW), {"now": NOW - 0.001}, USE),
        (due(refresh_at=NOW), {}, SEND),
        (fresh(usable_until=NOW, refresh_at=NOW + 100), {}, SEND),
        (due(refresh_token=None), {}, USE),
        (expired(refresh_token=None), {}, SignInAgain(EndReason.NO_REFRESH_TOKEN)),
        # an attempt whose lease is running: not even its own holder sends
        (with_attempt(due(), lease_until=NOW + 4), {}, USE),
        (with_attempt(expired(), lease_until=NOW + 4), {}, AwaitRefresh(NOW + 4)),
        (with_attempt(expired(), lease_until=NOW + 4), {"resend": True}, AwaitRefresh(NOW + 4)),
        # an access token that an upstream rejected
        (fresh(), REJECTED, SendRefresh(rejected=True)),
        (replace(fresh(), **REJECTED), REJECTED, USE),
        (fresh(), {"rejected_token": token_fingerprint("access-2")}, USE),
        (fresh(received_at=NOW - 29.9), REJECTED, USE),
        (fresh(received_at=NOW - 30), REJECTED, SendRefresh(rejected=True)),
        (fresh(refresh_token=None), REJECTED, USE),
        (with_attempt(due(), lease_until=NOW + 4), REJECTED, AwaitRefresh(NOW + 4)),
        # while a refresh is in flight: whatever caused it, and however new the token is
        (with_attempt(replace(due(), **REJECTED), lease_until=NOW + 4), REJECTED, AwaitRefresh(NOW + 4)),
        (with_attempt(due(received_at=NOW - 1), lease_until=NOW + 4), REJECTED, AwaitRefresh(NOW + 4)),
        (with_attempt(due(), lease_until=NOW + 4), {"rejected_token": token_fingerprint("access-2")}, USE),
        (with_attempt(due(), not_before=NOW + 3), REJECTED, USE),
        (with_attempt(due()), REJECTED, SendRefresh(rejected=True)),
        (sent(LOST, expired()), REJECTED, SendRefresh(after_grace=True, rejected=True)),
        (with_successor(sent(LOST, due())), REJECTED, SendRefresh(use_successor=True, rejected=True)),
        # a lapsed lease: spacing
        (with_attempt(due(), not_before=NOW + 3), {}, USE),
        (with_attempt(expired(), not_before=NOW + 3), {}, RetryLater(NOW + 3)),
        (with_attempt(expired(), not_before=NOW), {}, SEND),
        (sent(LOST, expired(), after_grace=True, not_before=NOW + 8), {}, RetryLater(NOW + 8)),
        # inside the grace period, and after it
        (with_attempt(due()), {}, SEND),
        (with_attempt(expired()), {}, SEND),
        (with_attempt(expired(), first_sent_at=None, lease_until=NOW - 9999), {}, SEND),
        (sent(22, due()), {}, SEND),
        (sent(23, due()), {}, USE),
        (sent(23, expired()), {}, SEND_LATE),
        (sent(23, due()), NO_LATE_SENDS, USE),
        (sent(23, expired()), NO_LATE_SENDS, SignInAgain(EndReason.ROTATION_LOST)),
        (with_attempt(expired(), first_sent_at=None), NO_LATE_SENDS, SEND),
        # a quick resend: by the holder of the failed attempt only
        (sent(1, due(), lease_until=NOW, not_before=NOW + 1), {}, USE),
        (sent(1, due(), lease_until=NOW, not_before=NOW + 1), {"resend": True}, SEND),
        (sent(1, expired(), not_before=NOW + 9), {"resend_of": "ours"}, RetryLater(NOW + 9)),
        (sent(1, expired(), not_before=NOW + 9), {"resend_of": "theirs"}, SEND),
        (sent(0, due(), lease_until=NOW), {"resend_of": "ours", **SHORT_GRACE}, USE),
        (sent(0, due(), lease_until=NOW), {"resend_of": "theirs", **SHORT_GRACE}, SEND),
        # a concurrent successor: after the grace period, in place of a late send
        (with_successor(with_attempt(expired())), {}, SEND),
        (with_successor(sent(LOST, due())), {}, SendRefresh(use_successor=True)),
        (with_successor(sent(LOST, expired())), NO_LATE_SENDS, SendRefresh(use_successor=True)),
        (with_successor(sent(LOST, expired()), rotation=2), {}, SEND_LATE),
    ],
)
def test_the_decision_for_every_row_of_the_table(
    record: Session, arguments: dict[str, Any], expected: RefreshDecision
) -> None:
    assert decision_on(record, **arguments) == expected


@pytest.mark.case("RF-062")
def test_a_dead_holder_is_awaited_no_longer_than_its_lease() -> None:
    record = with_attempt(expired(usable_until=NOW - 60), lease_until=NOW)
    assert decision_on(record, NOW - 0.001) == AwaitRefresh(NOW)
    assert decision_on(record, NOW) == SEND


def test_a_first_reservation_is_one_lease_long_and_changes_nothing_else() -> None:
    record = with_successor(due())
    attempt = RefreshAttempt(attempt_id="ours", tries=1, first_sent_at=NOW, lease_until=NOW + 10)
    assert reserved(record) == replace(record, version=record.version + 1, attempt=attempt)


@pytest.mark.case("RF-005", "RF-015", "RF-016")
@pytest.mark.parametrize(
    ("session", "ago", "after_grace"), [(due(), 15, False), (expired(), 15, False), (expired(), 23, True)]
)
def test_a_resend_sends_the_same_token_and_the_grace_period_counts_from_the_first_send(
    session: Session, ago: float, after_grace: bool
) -> None:
    record = sent(ago, session, tries=2, denied_at=NOW - 40, not_before=NOW - 1)
    written = reserved(record)
    assert written.tokens == record.tokens
    assert written.attempt == RefreshAttempt(
        attempt_id="ours",
        tries=3,
        first_sent_at=NOW - ago,
        lease_until=NOW + 10,
        previous_first_sent_at=NOW - ago,
        after_grace=after_grace,
        denied_at=NOW - 40,
    )


def test_a_token_that_was_never_sent_starts_its_grace_period_now() -> None:
    attempt = attempt_of(reserved(with_attempt(expired(), first_sent_at=None, tries=4)))
    assert (attempt.first_sent_at, attempt.previous_first_sent_at, attempt.tries) == (NOW, None, 5)


@pytest.mark.case("RF-022")
def test_a_successor_that_is_used_becomes_the_sessions_token() -> None:
    record = with_successor(sent(LOST, expired(), tries=3, after_grace=True, denied_at=NOW - 40))
    written = reserved(record)
    assert written.tokens == replace(record.tokens, refresh_token="refresh-4b")
    assert (written.concurrent_successor, written.rotation, written.version) == (None, 4, 8)
    assert written.attempt == RefreshAttempt("ours", 4, NOW, NOW + 10, denied_at=NOW - 40)
    promoted = attempt_of(promote_successor(record, NOW))
    assert (promoted.lease_until, promoted.not_before, promoted.after_grace) == (NOW, NOW, False)


@pytest.mark.parametrize("record", [with_attempt(due()), with_successor(due())])
def test_without_a_successor_of_an_attempt_there_is_none_to_promote(record: Session) -> None:
    with pytest.raises(ValueError, match="successor"):
        promote_successor(record, NOW)


@pytest.mark.case("RF-058")
def test_a_rejected_token_is_refreshed_once() -> None:
    written = reserved(fresh(), **REJECTED)
    assert written.rejected_token == REJECTED["rejected_token"]
    assert decision_on(replace(written, attempt=None), **REJECTED) == USE
    assert reserved(replace(due(), rejected_token="earlier")).rejected_token == "earlier"
