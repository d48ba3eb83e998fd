"""`apply_token_response`, row by row: what a grant and what a refusal make of the record."""

from dataclasses import replace

import pytest

from bff.oidc.token import Denied, Granted, Postponed, TokenResult
from bff.session.session import EndReason
from bff.session.timing import MAX_BACKOFF
from bff.session.token_response import Ended, Pending, Renewed, Superseded, apply_token_response
from tests.harness.refresh_records import (
    NOT_ASSIGNED,
    NOW,
    POLICY,
    REFUSED,
    UNKNOWN,
    UNSENT,
    answered,
    due,
    expired,
    granted,
    renewed,
    reserve,
    sent,
    unknown,
    with_alternate,
    with_attempt,
)

# --- granted ---------------------------------------------------------------------------------------------------------


def test_a_grant_renews_the_session() -> None:
    reserved = reserve(due())
    session = renewed(answered(reserved, granted()))
    assert (session.version, session.rotation) == (reserved.version + 1, reserved.rotation + 1)
    assert session.attempt is None
    tokens = session.tokens
    assert (tokens.access_token, tokens.refresh_token, tokens.id_token) == ("access-4", "refresh-4", "id-4")
    assert tokens.received_at == NOW + 1
    assert tokens.usable_until == NOW + 3600 - 5  # counted from the reservation, not from the answer
    assert session.user == reserved.user
    assert session.ends_at == reserved.ends_at


@pytest.mark.case("RF-009")
@pytest.mark.parametrize("absent", [None, ""])
def test_the_old_refresh_token_is_kept_if_none_came_back(absent: str | None) -> None:
    session = renewed(answered(reserve(due()), granted(absent)))
    assert session.tokens.refresh_token == "refresh-3"
    assert session.rotation == 4


@pytest.mark.case("RF-010")
def test_a_persistent_refresh_token_is_renewed_with_every_time() -> None:
    session = due()
    for rotation in (4, 5, 6):
        session = renewed(answered(reserve(session), granted("refresh-3")))
        assert (session.tokens.refresh_token, session.rotation, session.concurrent_successor) == (
            "refresh-3",
            rotation,
            None,
        )
        session = replace(session, tokens=due().tokens)


def test_what_a_grant_does_not_repeat_is_kept() -> None:
    session = renewed(answered(reserve(due()), granted(id_token=None, scope=None)))
    assert (session.tokens.id_token, session.tokens.scope) == ("id-3", "openid offline_access")


def test_a_renewed_token_may_be_refused_once_again() -> None:
    session = renewed(answered(reserve(replace(due(), rejected_token="0123456789abcdef")), granted()))
    assert session.rejected_token is None


def test_a_replayed_grant_counts_from_the_first_send() -> None:
    reserved = reserve(with_attempt(due(), first_sent_at=NOW - 15))
    assert renewed(answered(reserved, granted())).tokens.usable_until == NOW - 15 + 3600 - 5


def test_a_late_grant_counts_from_the_oldest_token_that_a_replay_can_bring() -> None:
    reserved = reserve(with_attempt(expired(), first_sent_at=NOW - 5000))
    session = renewed(answered(reserved, granted()))
    assert session.tokens.usable_until == NOW - 30 + 3600 - 5
    assert renewed(answered(reserved, granted(), policy=replace(POLICY, grace=0))).tokens.usable_until == NOW + 3595


@pytest.mark.case("RF-013")
@pytest.mark.parametrize(("expires_in", "usable"), [(None, 295), (1, 0.9), (10, 9), (10**12, 365 * 86400 - 5)])
def test_every_lifetime_is_taken(expires_in: int | None, usable: float) -> None:
    session = renewed(answered(reserve(due()), granted(expires_in=expires_in), after=0.5))
    assert session.tokens.usable_until == pytest.approx(NOW + usable)
    assert NOW < session.tokens.refresh_at <= session.tokens.usable_until


# --- granted, but no access token ------------------------------------------------------------------------------------

DEAD = [granted(access_token=None), granted(expires_in=0)]


@pytest.mark.parametrize("answer", DEAD, ids=["no access token", "expires_in 0"])
def test_the_refresh_token_is_stored_even_if_the_access_token_beside_it_is_none(answer: Granted) -> None:
    reserved = reserve(due())
    session, attempt = unknown(answered(reserved, answer))
    assert session.tokens == replace(reserved.tokens, refresh_token="refresh-4")
    assert (session.version, session.rotation) == (reserved.version + 1, reserved.rotation + 1)
    assert (attempt.first_sent_at, attempt.previous_first_sent_at) == (None, None)  # the new token was never sent
    assert attempt.lease_until == NOW + 1
    assert NOW + 1.75 <= attempt.not_before <= NOW + 2
    again = sent(session, NOW + 5000)
    assert not again.after_grace


def test_the_grace_of_a_token_that_is_handed_back_without_an_access_token_runs_on() -> None:
    reserved = reserve(with_attempt(due(), first_sent_at=NOW - 15))
    session, attempt = unknown(answered(reserved, granted("refresh-3", access_token=None)))
    assert (session.rotation, attempt.first_sent_at) == (reserved.rotation, NOW - 15)


def test_a_persistent_token_without_an_access_token_is_not_taken_for_lost() -> None:
    session, attempt = unknown(answered(reserve(due()), granted("refresh-3", access_token=None)))
    assert (session.rotation, attempt.first_sent_at) == (3, None)


# --- denied: invalid_grant -------------------------------------------------------------------------------------------


@pytest.mark.case("RF-036")
def test_a_confirmed_refusal_ends_the_session() -> None:
    assert answered(reserve(due()), REFUSED) == Ended(EndReason.REFRESH_TOKEN_INVALID)
    after_grace = reserve(with_attempt(expired(), first_sent_at=NOW - 100))
    assert answered(after_grace, REFUSED) == Ended(EndReason.REFRESH_TOKEN_INVALID)


def test_a_refusal_is_nothing_to_a_record_that_has_moved_on() -> None:
    reserved = reserve(due())
    moved = renewed(answered(reserve(with_attempt(due())), granted()))
    assert apply_token_response(moved, reserved, REFUSED, NOW + 1, POLICY) == Superseded()


@pytest.mark.case("RF-023")
def test_an_alternate_is_tried_once_before_a_refusal_counts() -> None:
    reserved = with_alternate(reserve(due(), NOW), rotation=2)
    session, attempt = unknown(answered(reserved, REFUSED), resend=True)
    assert (session.tokens.refresh_token, session.concurrent_successor) == ("refresh-4b", None)
    assert (session.version, session.rotation) == (reserved.version + 1, reserved.rotation + 1)
    assert (attempt.first_sent_at, attempt.after_grace) == (None, False)
    again = sent(session, NOW + 1, resend=True)
    assert again.reserved.tokens.refresh_token == "refresh-4b"
    assert apply_token_response(again.reserved, again.reserved, REFUSED, NOW + 2, POLICY) == Ended(
        EndReason.REFRESH_TOKEN_INVALID
    )


@pytest.mark.case("RF-023")
def test_an_alternate_that_is_good_keeps_the_user_signed_in() -> None:
    promoted, _ = unknown(answered(with_alternate(reserve(due())), REFUSED), resend=True)
    again = reserve(promoted, NOW + 1, resend=True)
    session = renewed(apply_token_response(again, again, granted("refresh-5"), NOW + 2, POLICY))
    assert (session.tokens.refresh_token, session.concurrent_successor, session.rotation) == ("refresh-5", None, 5)


def test_a_refusal_of_the_old_token_does_not_touch_the_successor_that_came_home_meanwhile() -> None:
    reserved = reserve(due())
    record = with_alternate(
        replace(reserved, version=9, tokens=replace(reserved.tokens, refresh_token="refresh-4")), "refresh-3"
    )
    session, attempt = unknown(apply_token_response(record, reserved, REFUSED, NOW + 1, POLICY), resend=True)
    assert (session.tokens.refresh_token, session.concurrent_successor, session.version) == ("refresh-4", None, 10)
    assert attempt.not_before == NOW + 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_invalid_grant_with_another_status_ends_nothing(status: int) -> None:
    unknown(answered(reserve(due()), Denied(status, "invalid_grant")))


# --- denied: access_denied -------------------------------------------------------------------------------------------


def test_a_first_access_denied_is_remembered_and_ends_nothing() -> None:
    session, attempt = unknown(answered(reserve(due()), NOT_ASSIGNED))
    assert attempt.denied_at == NOW + 1
    assert attempt.first_sent_at is None
    assert session.tokens == due().tokens


@pytest.mark.parametrize(("seconds", "ends"), [(0.0, False), (59.9, False), (60.0, True), (3600.0, True)])
def test_access_denied_is_believed_when_it_is_seen_again_a_minute_later(seconds: float, ends: bool) -> None:
    first, _ = unknown(answered(reserve(due()), NOT_ASSIGNED, after=0))
    again = reserve(first, NOW + max(seconds, 1))
    result = apply_token_response(again, again, NOT_ASSIGNED, NOW + seconds, POLICY)
    if ends:
        assert result == Ended(EndReason.PROVIDER_DENIED)
    else:
        _, attempt = unknown(result)
        assert attempt.denied_at == NOW  # the first of the two stays the first


@pytest.mark.parametrize(
    "between",
    [Postponed(5.0), UNSENT, UNKNOWN, Denied(401, "invalid_client"), Denied(403, "access_denied")],
    ids=["429", "connect refused", "5xx", "invalid_client", "403"],
)
def test_other_answers_in_between_do_not_make_access_denied_forgotten(between: TokenResult) -> None:
    session, _ = unknown(answered(reserve(due()), NOT_ASSIGNED, after=0))
    second = reserve(session, NOW + 30)
    result = apply_token_response(second, second, between, NOW + 35, POLICY)  # five seconds: no quick resend
    session, attempt = unknown(result)
    assert attempt.denied_at == NOW
    third = reserve(session, NOW + 50)
    assert apply_token_response(third, third, NOT_ASSIGNED, NOW + 60, POLICY) == Ended(EndReason.PROVIDER_DENIED)


@pytest.mark.parametrize("grant", [granted(), granted(access_token=None)], ids=["renewed", "without an access token"])
def test_a_grant_in_between_takes_access_denied_back(grant: Granted) -> None:
    session, _ = unknown(answered(reserve(due()), NOT_ASSIGNED, after=0))
    second = reserve(session, NOW + 30)
    result = apply_token_response(second, second, grant, NOW + 31, POLICY)
    assert isinstance(result, Renewed | Pending)
    third = reserve(result.session, NOW + 5000)
    _, attempt = unknown(apply_token_response(third, third, NOT_ASSIGNED, NOW + 5001, POLICY))
    assert attempt.denied_at == NOW + 5001


# --- denied: our own configuration -----------------------------------------------------------------------------------

OURS_TO_MEND = [
    Denied(401, "invalid_client"),
    Denied(400, "invalid_client"),
    Denied(400, "unauthorized_client"),
    Denied(400, "unsupported_grant_type"),
    Denied(400, "invalid_scope"),
    Denied(400, "invalid_request"),
    Denied(401, "access_denied"),
    Denied(403, "access_denied"),
    Denied(403, "server_error"),
    Denied(404, "unreadable"),
    Denied(200, "invalid_grant"),
]


@pytest.mark.case("RF-032", "RF-033", "RF-034")
@pytest.mark.parametrize("answer", OURS_TO_MEND, ids=lambda answer: f"{answer.status} {answer.error}")
def test_a_refusal_of_our_configuration_consumes_nothing_and_ends_nothing(answer: Denied) -> None:
    session, moment = due(), NOW
    for _ in range(12):  # ten minutes of it
        reserved = reserve(session, moment)
        session, attempt = unknown(apply_token_response(reserved, reserved, answer, moment, POLICY))
        assert session.tokens == due().tokens
        assert (session.rotation, attempt.first_sent_at, attempt.denied_at) == (3, None, None)
        assert moment < attempt.not_before <= moment + MAX_BACKOFF
        moment = attempt.not_before
    reserved = reserve(session, moment)
    assert not reserved.attempt or not reserved.attempt.after_grace
    renewed(apply_token_response(reserved, reserved, granted(), moment, POLICY))
