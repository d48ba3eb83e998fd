"""Refresh timing at its limits: token lifetimes, the lease, the grace period, back-off and jitter."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.token import TokenResponse
from bff.session.session import EndReason, RefreshAttempt, SessionKey, Tokens
from bff.session.timing import (
    DEFAULT_LIFETIME,
    MAX_LIFETIME,
    MAX_UNANSWERED_BACKOFF,
    backoff,
    end_of_session,
    inside_grace,
    limit_reached,
    may_send,
    new_tokens,
    token_fingerprint,
)
from tests.harness.policy import Policy
from tests.harness.refresh_records import KEY, NOW, POLICY, fresh, granted

keys = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=43, max_size=43).map(SessionKey)


def response(expires_in: int | None = 3600) -> TokenResponse:
    return granted(expires_in=expires_in).tokens


def tokens(
    expires_in: int | None = 3600, *, before_expiry: float = 60.0, asked_at: float = NOW, key: SessionKey = KEY
) -> Tokens:
    new = new_tokens(response(expires_in), key, asked_at, NOW + 3, before_expiry)
    assert new is not None
    return new


def test_a_token_is_usable_until_shortly_before_its_end_counted_from_the_request() -> None:
    assert tokens(3600).usable_until == NOW + 3595
    assert tokens(20).usable_until == NOW + 18
    assert tokens(3600, asked_at=NOW - 100).usable_until == NOW + 3495
    assert tokens(3600).received_at == NOW + 3


@pytest.mark.case("RF-013")
@pytest.mark.parametrize(
    ("expires_in", "lifetime"), [(None, DEFAULT_LIFETIME), (1, 1), (50, 50), (10**12, 365 * 86400)]
)
def test_a_missing_a_tiny_and_a_huge_lifetime_are_accepted(expires_in: int | None, lifetime: float) -> None:
    assert tokens(expires_in).usable_until == NOW + lifetime - min(5.0, lifetime / 10)


@pytest.mark.case("RF-013")
@pytest.mark.parametrize("changes", [{"expires_in": 0}, {"expires_in": -1}, {"access_token": None}])
def test_an_expired_or_missing_access_token_makes_no_tokens(changes: dict[str, Any]) -> None:
    assert new_tokens(replace(response(), **changes), KEY, NOW, NOW, 60) is None


def test_fields_are_taken_from_the_response() -> None:
    full, empty = tokens(), new_tokens(replace(response(), refresh_token="", scope=None), KEY, NOW, NOW, 60)
    assert (full.access_token, full.refresh_token, full.id_token) == ("access-4", "refresh-4", "id-4")
    assert full.scope == "openid offline_access"
    assert empty is not None
    assert (empty.refresh_token, empty.scope) == (None, "")


@pytest.mark.case("RF-059")
@pytest.mark.parametrize(
    ("expires_in", "before_expiry", "lead"),
    [(3600, 60.0, 60.0), (300, 60.0, 60.0), (240, 60.0, 60.0), (200, 60.0, 50.0), (30, 60.0, 7.5), (3600, 0.0, 0.0)],
)
def test_a_refresh_is_due_before_expiry_but_never_at_once(expires_in: int, before_expiry: float, lead: float) -> None:
    due = tokens(expires_in, before_expiry=before_expiry).refresh_at - NOW
    assert max(expires_in - 16 * lead, expires_in * 3 / 4) <= due <= expires_in - lead * 3 / 4


@given(keys, st.integers(1, 10**12), st.floats(0, 3600), st.floats(0, 60))
def test_a_new_token_is_neither_due_nor_expired(
    key: SessionKey, expires_in: int, before_expiry: float, ago: float
) -> None:
    new = tokens(expires_in, before_expiry=before_expiry, key=key)
    lifetime = min(expires_in, MAX_LIFETIME)
    assert NOW < new.refresh_at <= NOW + lifetime
    assert NOW < new.usable_until < NOW + lifetime
    if before_expiry >= 7:  # the lead outlasts what is kept back for the way
        assert new.refresh_at <= new.usable_until


def test_sessions_that_were_refreshed_together_are_not_due_together() -> None:
    due = [tokens(3600, key=SessionKey(f"{number:043}")).refresh_at - NOW for number in range(1000)]
    assert len(set(due)) == 1000
    assert 2700 <= min(due) < 2710 < 3545 < max(due) < 3555  # the last quarter of the lifetime
    busiest = max(sum(begin <= at < begin + 15 for at in due) for begin in range(2700, 3555, 15))
    assert busiest < 50, "in any 15 seconds a small part is due"
    assert tokens(3600).refresh_at == tokens(3600).refresh_at


@pytest.mark.parametrize(
    ("now", "last_seen_at", "reason"),
    [
        (NOW + 35999.9, NOW + 35999, None),
        (NOW + 36000, NOW + 36000, EndReason.ABSOLUTE_TIMEOUT),
        (NOW, NOW - 3599.9, None),
        (NOW, NOW - 3600, EndReason.IDLE_TIMEOUT),
    ],
)
def test_a_session_ends_at_its_absolute_and_at_its_idle_limit(
    now: float, last_seen_at: float, reason: EndReason | None
) -> None:
    assert limit_reached(fresh(), now, POLICY, last_seen_at) is reason


def test_a_session_ends_by_our_limit_or_by_the_providers_ceiling() -> None:
    assert end_of_session(NOW, 3600, None) == NOW + 3600
    assert end_of_session(NOW, 3600, NOW + 60) == NOW + 60
    assert end_of_session(NOW, 3600, NOW + 9999) == NOW + 3600


def attempt(**changes: float | bool | None) -> RefreshAttempt:
    first = RefreshAttempt(attempt_id="ours", tries=1, first_sent_at=NOW, lease_until=NOW + 10)
    return replace(first, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("after", "allowed"), [(0, True), (1.999, True), (2, False), (2.001, False), (3600, False)])
def test_a_refresh_is_sent_only_if_the_response_would_arrive_within_the_lease(after: float, allowed: bool) -> None:
    """At equality another holder may take over in the moment the answer arrives."""
    assert may_send(attempt(), NOW + after, POLICY) is allowed


def test_a_lease_no_longer_than_the_timeout_allows_no_send() -> None:
    assert not may_send(attempt(lease_until=NOW + 8), NOW, Policy(timeout=8, lease=8))


def test_a_resend_reserved_inside_the_grace_period_is_not_sent_after_it() -> None:
    last = NOW + 30 - 8
    resend = attempt(lease_until=last + 10, previous_first_sent_at=NOW)
    assert may_send(resend, last, POLICY)
    assert not may_send(resend, last + 0.001, POLICY)


def test_a_quick_resend_is_sent_while_two_seconds_of_the_grace_period_are_left() -> None:
    resend = attempt(lease_until=NOW + 27 + 10, previous_first_sent_at=NOW)
    assert may_send(resend, NOW + 27.999, POLICY)
    assert not may_send(resend, NOW + 28, POLICY)


@pytest.mark.parametrize(
    "changes", [{"after_grace": True, "previous_first_sent_at": NOW - 100}, {"previous_first_sent_at": None}]
)
def test_a_send_after_the_grace_period_and_a_first_send_need_no_grace_period(changes: dict[str, float | bool]) -> None:
    assert may_send(attempt(first_sent_at=NOW - 100, **changes), NOW, POLICY)


@pytest.mark.parametrize("resend", [False, True])
def test_a_token_that_was_never_sent_is_inside_its_grace_period(resend: bool) -> None:
    assert inside_grace(attempt(first_sent_at=None), NOW + 10**9, Policy(grace=0), resend=resend)


@pytest.mark.case("RF-026")
@pytest.mark.parametrize("grace", range(0, 61, 5))
def test_the_grace_period_counts_from_the_first_send(grace: int) -> None:
    policy = Policy(grace=float(grace))
    assert inside_grace(attempt(), NOW + grace - 8, policy)
    assert not inside_grace(attempt(), NOW + grace - 7.999, policy)
    assert inside_grace(attempt(), NOW + grace - 2.001, policy, resend=True)
    assert not inside_grace(attempt(), NOW + grace - 2, policy, resend=True)


@pytest.mark.parametrize(
    ("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (11, 30), (10**9, 30)]
)
def test_back_off_doubles_up_to_half_a_minute(tries: int, seconds: float) -> None:
    assert seconds * 0.75 <= backoff(tries, KEY) <= seconds


@pytest.mark.parametrize(("tries", "seconds"), [(1, 1), (2, 2), (3, 3), (10**9, 3)])
def test_an_answer_that_did_not_come_is_asked_for_again_within_seconds(tries: int, seconds: float) -> None:
    assert seconds * 0.75 <= backoff(tries, KEY, MAX_UNANSWERED_BACKOFF) <= seconds


def test_sessions_that_failed_together_do_not_retry_together() -> None:
    pauses = [backoff(4, SessionKey(f"{number:043}")) for number in range(1000)]
    assert len(set(pauses)) == 1000
    assert 6 <= min(pauses) < 6.1 < 7.9 < max(pauses) < 8


def test_a_fingerprint_identifies_a_token_without_containing_it() -> None:
    assert token_fingerprint("a-token") == "efbf0621d1704976"  # in records of other releases too
    assert token_fingerprint("another") != token_fingerprint("a-token")
