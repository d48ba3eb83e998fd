"""The timings of a refresh at their edges: lives of tokens, the lease, the grace, back-off and jitter."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bff.oidc.token import TokenResponse
from bff.session.session import RefreshAttempt, SessionKey, Tokens
from bff.session.timing import (
    DEFAULT_LIFETIME,
    MAX_BACKOFF,
    MAX_LIFETIME,
    backoff,
    end_of_session,
    inside_grace,
    may_send,
    new_tokens,
    token_fingerprint,
)
from tests.harness.policy import Policy
from tests.harness.refresh_records import KEY, NOW, POLICY, granted

keys = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=43, max_size=43).map(SessionKey)


def response(expires_in: int | None = 3600) -> TokenResponse:
    return granted(expires_in=expires_in).tokens


def tokens(
    expires_in: int | None = 3600, *, before_expiry: float = 60.0, asked_at: float = NOW, key: SessionKey = KEY
) -> Tokens:
    new = new_tokens(response(expires_in), key, asked_at, NOW + 3, before_expiry)
    assert new is not None
    return new


# --- the life of a token ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grace", [0.0, 2.0, 5.0, 8.0, 18.0, 30.0, 60.0])
def test_the_defaults_keep_the_one_law_of_the_timings(grace: float) -> None:
    policy = Policy(grace=grace)
    assert policy.timeout < policy.lease


def test_a_token_is_usable_until_shortly_before_its_end_counted_from_the_request() -> None:
    assert tokens(3600).usable_until == NOW + 3595
    assert tokens(20).usable_until == NOW + 18
    assert tokens(3600, asked_at=NOW - 100).usable_until == NOW + 3495
    assert tokens(3600).received_at == NOW + 3


@pytest.mark.case("RF-013")
@pytest.mark.parametrize(("expires_in", "life"), [(None, DEFAULT_LIFETIME), (1, 1), (10**12, MAX_LIFETIME)])
def test_a_missing_a_tiny_and_a_huge_lifetime_are_lives(expires_in: int | None, life: float) -> None:
    assert tokens(expires_in).usable_until == NOW + life - min(5.0, life / 10)


@pytest.mark.case("RF-013")
@pytest.mark.parametrize("expires_in", [0, -1])
def test_a_token_that_is_dead_on_arrival_is_none(expires_in: int) -> None:
    assert new_tokens(response(expires_in), KEY, NOW, NOW, 60) is None


def test_no_access_token_is_no_tokens() -> None:
    assert new_tokens(replace(response(), access_token=None), KEY, NOW, NOW, 60) is None


def test_an_empty_refresh_token_is_none() -> None:
    new = new_tokens(replace(response(), refresh_token="", scope=None), KEY, NOW, NOW, 60)
    assert new is not None
    assert (new.refresh_token, new.scope) == (None, "")


@pytest.mark.case("RF-059")
@pytest.mark.parametrize(
    ("expires_in", "before_expiry", "lead"),
    [(3600, 60.0, 60.0), (300, 60.0, 60.0), (240, 60.0, 60.0), (200, 60.0, 50.0), (30, 60.0, 7.5), (3600, 0.0, 0.0)],
)
def test_renewal_is_due_early_but_never_at_birth(expires_in: int, before_expiry: float, lead: float) -> None:
    due = tokens(expires_in, before_expiry=before_expiry).refresh_at - NOW
    assert expires_in - lead <= due <= expires_in - lead * 3 / 4
    assert due >= expires_in * 3 / 4


@given(keys, st.integers(1, 10**12), st.floats(0, 3600), st.floats(0, 60))
def test_a_new_token_is_neither_due_nor_past_its_use(
    key: SessionKey, expires_in: int, before_expiry: float, ago: float
) -> None:
    new = tokens(expires_in, before_expiry=before_expiry, key=key)
    life = min(expires_in, MAX_LIFETIME)
    assert NOW < new.refresh_at <= NOW + life
    assert NOW < new.usable_until < NOW + life
    if before_expiry >= 7:  # the lead outlasts what is kept back for the way
        assert new.refresh_at <= new.usable_until


def test_sessions_that_were_renewed_together_are_not_due_together() -> None:
    due = {tokens(3600, key=SessionKey(f"{number:043}")).refresh_at for number in range(1000)}
    assert len(due) == 1000
    assert max(due) - min(due) > 14  # a quarter of the lead of 60
    assert tokens(3600).refresh_at == tokens(3600).refresh_at


def test_a_session_ends_by_our_limit_or_by_the_providers_ceiling() -> None:
    assert end_of_session(NOW, 3600, None) == NOW + 3600
    assert end_of_session(NOW, 3600, NOW + 60) == NOW + 60
    assert end_of_session(NOW, 3600, NOW + 9999) == NOW + 3600


# --- may the bytes leave? --------------------------------------------------------------------------------------------


def attempt(**words: float | bool | None) -> RefreshAttempt:
    first = RefreshAttempt(attempt_id="ours", tries=1, first_sent_at=NOW, lease_until=NOW + 10)
    return replace(first, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize(("after", "may"), [(0, True), (1.999, True), (2, False), (2.001, False), (3600, False)])
def test_bytes_leave_only_while_the_answer_would_arrive_under_the_lease(after: float, may: bool) -> None:
    """At equality another holder may take over in the moment the answer arrives."""
    assert may_send(attempt(), NOW + after, POLICY) is may


def test_a_lease_as_long_as_the_answer_takes_lets_nothing_leave() -> None:
    assert not may_send(attempt(lease_until=NOW + 8), NOW, Policy(timeout=8, lease=8))


def test_a_resend_that_was_reserved_in_the_grace_does_not_leave_after_it() -> None:
    last = NOW + 30 - 8
    resend = attempt(lease_until=last + 10, previous_first_sent_at=NOW)
    assert may_send(resend, last, POLICY)
    assert not may_send(resend, last + 0.001, POLICY)


def test_a_quick_resend_leaves_while_two_seconds_of_the_grace_are_left() -> None:
    resend = attempt(lease_until=NOW + 27 + 10, previous_first_sent_at=NOW)
    assert may_send(resend, NOW + 27.999, POLICY)
    assert not may_send(resend, NOW + 28, POLICY)


@pytest.mark.parametrize(
    "words", [{"after_grace": True, "previous_first_sent_at": NOW - 100}, {"previous_first_sent_at": None}]
)
def test_a_late_send_and_a_first_send_ask_no_grace(words: dict[str, float | bool]) -> None:
    assert may_send(attempt(first_sent_at=NOW - 100, **words), NOW, POLICY)


@given(
    st.floats(0, 60),
    st.floats(0.5, 20),
    st.floats(0.5, 20),
    st.floats(0, 100),
    st.floats(0, 40),
    st.booleans(),
)
def test_what_may_leave_is_answered_under_its_lease_and_reaches_the_provider_in_the_grace(
    grace: float, timeout: float, more: float, reserved_after: float, sent_after: float, resend: bool
) -> None:
    policy = Policy(timeout=timeout, lease=timeout + more, grace=grace)
    reserved, leaves = NOW + reserved_after, NOW + reserved_after + sent_after
    ours = attempt(lease_until=reserved + policy.lease, previous_first_sent_at=NOW)
    if inside_grace(ours, reserved, policy, resend=resend) and may_send(ours, leaves, policy):
        assert leaves + timeout < ours.lease_until
        assert leaves + min(2.0, timeout) <= NOW + grace + 1e-6


# --- the grace -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resend", [False, True])
def test_a_token_that_was_never_sent_is_always_inside_its_grace(resend: bool) -> None:
    assert inside_grace(attempt(first_sent_at=None), NOW + 10**9, Policy(grace=0), resend=resend)


@pytest.mark.parametrize("grace", range(0, 61, 5))
def test_the_grace_is_counted_from_the_first_send(grace: int) -> None:
    policy = Policy(grace=float(grace))
    assert inside_grace(attempt(), NOW + grace - 8, policy)
    assert not inside_grace(attempt(), NOW + grace - 7.999, policy)
    assert inside_grace(attempt(), NOW + grace - 2.001, policy, resend=True)
    assert not inside_grace(attempt(), NOW + grace - 2, policy, resend=True)


# --- back-off and names ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tries", "seconds"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16)])
def test_back_off_doubles(tries: int, seconds: float) -> None:
    assert seconds * 0.75 <= backoff(tries, KEY) <= seconds


@given(st.integers(1, 10**9), keys)
def test_back_off_is_positive_and_ends_at_half_a_minute(tries: int, key: SessionKey) -> None:
    pause = backoff(tries, key)
    assert 0.75 <= pause <= MAX_BACKOFF
    assert math.isfinite(pause)
    if tries > 5:
        assert pause >= MAX_BACKOFF * 0.75


def test_sessions_that_failed_together_do_not_come_back_together() -> None:
    assert len({backoff(4, SessionKey(f"{number:043}")) for number in range(1000)}) == 1000


def test_a_fingerprint_names_a_token_without_saying_it() -> None:
    name = token_fingerprint("a-token")
    assert name == token_fingerprint("a-token") != token_fingerprint("another")
    assert len(name) == 16
    assert "a-token" not in name
