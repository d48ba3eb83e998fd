"""`apply_token_response`: what a grant and what a refusal change in the record."""

from dataclasses import replace

import pytest

from bff.oidc.error_codes import NEVER_FINAL
from bff.oidc.token import ClientProof, Denied, Granted, Postponed, TokenResult
from bff.session.session import EndReason, Session
from bff.session.timing import MAX_BACKOFF, backoff
from bff.session.token_response import Ended, Pending, Renewed, apply_token_response
from tests.harness.refresh_records import (
    INVALID_CLIENT,
    KEY,
    NOT_ASSIGNED,
    NOW,
    POLICY,
    REFUSED,
    UNKNOWN,
    UNSENT,
    attempt_of,
    due,
    expired,
    fresh,
    granted,
    pending,
    renewed,
    reserved,
    respond,
    with_attempt,
    with_successor,
)


def test_a_response_needs_a_reservation() -> None:
    with pytest.raises(ValueError, match="reservation"):
        respond(fresh(), granted())


def test_a_grant_renews_the_session() -> None:
    record = reserved(replace(due(), rejected_token="0123456789abcdef"))
    session = renewed(respond(record, granted()))
    tokens = session.tokens
    assert (tokens.access_token, tokens.refresh_token, tokens.id_token) == ("access-4", "refresh-4", "id-4")
    assert (tokens.received_at, tokens.usable_until) == (NOW + 1, NOW + 3595)  # counted from the reservation
    assert session == replace(
        record, version=record.version + 1, rotation=4, tokens=tokens, attempt=None, rejected_token=None
    )


@pytest.mark.case("RF-009")
@pytest.mark.parametrize("absent", [None, ""])
def test_what_a_grant_does_not_repeat_is_kept(absent: str | None) -> None:
    session = renewed(respond(reserved(due()), granted(absent, id_token=absent, scope=absent)))
    tokens = session.tokens
    assert (tokens.refresh_token, tokens.id_token, tokens.scope) == ("refresh-3", "id-3", "openid offline_access")
    assert session.rotation == 4


@pytest.mark.case("RF-010")
def test_a_persistent_refresh_token_is_used_every_time() -> None:
    session = due()
    for rotation in (4, 5, 6):
        session = renewed(respond(reserved(session), granted("refresh-3")))
        assert (session.tokens.refresh_token, session.rotation) == ("refresh-3", rotation)
        assert session.concurrent_successor is None
        session = replace(session, tokens=due().tokens)


@pytest.mark.parametrize(
    ("first_sent_at", "grace", "counted_from"),
    [
        (NOW - 15, 30, NOW - 15),
        (NOW - 5000, 30, NOW - 30),  # the oldest token that a replay can return
        (NOW - 5000, 0, NOW),
        (None, 30, NOW),
    ],
)
def test_the_lifetime_of_a_replayed_grant_counts_from_the_first_send(
    first_sent_at: float | None, grace: float, counted_from: float
) -> None:
    record = reserved(with_attempt(expired(), first_sent_at=first_sent_at))
    session = renewed(respond(record, granted(), policy=replace(POLICY, grace=grace)))
    assert session.tokens.usable_until == counted_from + 3595


@pytest.mark.parametrize("answer", [granted(access_token=None), granted(expires_in=0)])
def test_a_refresh_token_is_stored_even_if_the_access_token_beside_it_is_unusable(answer: Granted) -> None:
    record = reserved(with_attempt(expired(), first_sent_at=NOW - 15, denied_at=NOW - 15))
    session, attempt = pending(respond(record, answer))
    assert session.tokens == replace(record.tokens, refresh_token="refresh-4")
    assert (session.version, session.rotation) == (record.version + 1, record.rotation + 1)
    assert (attempt.first_sent_at, attempt.previous_first_sent_at, attempt.denied_at) == (None, None, None)
    assert (attempt.lease_until, attempt.not_before) == (NOW + 1, NOW + 1 + backoff(2, KEY))
    assert not attempt_of(reserved(session, NOW + 5000)).after_grace


@pytest.mark.parametrize(("first_sent_at", "expected"), [(NOW - 15, NOW - 15), (None, None)])
def test_the_grace_period_of_a_token_that_is_returned_without_an_access_token_continues(
    first_sent_at: float | None, expected: float | None
) -> None:
    record = reserved(with_attempt(due(), first_sent_at=first_sent_at))
    session, attempt = pending(respond(record, granted("refresh-3", access_token=None)))
    assert (session.rotation, attempt.first_sent_at) == (3, expected)
    assert attempt.previous_first_sent_at == expected


@pytest.mark.case("RF-036")
@pytest.mark.parametrize("answer", [REFUSED, Denied(403, "invalid_grant")], ids=["400", "403"])
@pytest.mark.parametrize("record", [due(), with_attempt(expired(), first_sent_at=NOW - 100)])
def test_invalid_grant_ends_the_session(record: Session, answer: Denied) -> None:
    assert respond(reserved(record), answer) == Ended(EndReason.REFRESH_TOKEN_INVALID)


@pytest.mark.case("RF-023")
def test_a_concurrent_successor_is_tried_once_before_invalid_grant_counts() -> None:
    record = with_successor(reserved(with_attempt(expired(), first_sent_at=NOW - 100)), rotation=2)
    session, attempt = pending(respond(record, REFUSED), resend=True)
    assert (session.tokens.refresh_token, session.concurrent_successor) == ("refresh-4b", None)
    assert (session.version, session.rotation) == (record.version + 1, record.rotation + 1)
    assert (attempt.first_sent_at, attempt.after_grace) == (None, False)
    again = reserved(session, NOW + 1, resend=True)
    assert again.tokens.refresh_token == "refresh-4b"
    assert respond(again, REFUSED, after=2) == Ended(EndReason.REFRESH_TOKEN_INVALID)
    session = renewed(respond(again, granted("refresh-5"), after=2))
    assert (session.tokens.refresh_token, session.concurrent_successor, session.rotation) == ("refresh-5", None, 5)


def test_a_refusal_of_the_previous_token_keeps_the_successor_that_arrived_meanwhile() -> None:
    record = reserved(due())
    moved = replace(record, version=9, tokens=replace(record.tokens, refresh_token="refresh-4"))
    result = apply_token_response(with_successor(moved, "refresh-3"), record, REFUSED, NOW + 1, POLICY)
    session, attempt = pending(result, resend=True)
    assert (session.tokens.refresh_token, session.concurrent_successor, session.version) == ("refresh-4", None, 10)
    assert attempt.not_before == NOW + 1
    assert renewed(apply_token_response(moved, record, granted("refresh-5"), NOW + 1, POLICY)).rotation == 4


@pytest.mark.parametrize(("seconds", "ends"), [(0.0, False), (59.9, False), (60.0, True), (3600.0, True)])
def test_access_denied_ends_the_session_when_it_is_repeated_a_minute_later(seconds: float, ends: bool) -> None:
    session, first = pending(respond(reserved(due()), NOT_ASSIGNED, after=0))
    assert (first.denied_at, first.first_sent_at, session.tokens) == (NOW, None, due().tokens)
    result = respond(reserved(session, NOW + max(seconds, 1)), NOT_ASSIGNED, seconds)
    if ends:
        assert result == Ended(EndReason.PROVIDER_DENIED)
    else:
        _, second = pending(result)
        assert second.denied_at == NOW


@pytest.mark.parametrize(
    "between",
    [Postponed(5.0), UNSENT, UNKNOWN, INVALID_CLIENT, Denied(403, "access_denied")],
    ids=["429", "connect refused", "5xx", "invalid_client", "403"],
)
def test_other_responses_in_between_do_not_reset_access_denied(between: TokenResult) -> None:
    session, _ = pending(respond(reserved(due()), NOT_ASSIGNED, after=0))
    session, attempt = pending(respond(reserved(session, NOW + 30), between, after=35))  # too late for a quick resend
    assert attempt.denied_at == NOW
    assert respond(reserved(session, NOW + 60), NOT_ASSIGNED, after=61) == Ended(EndReason.PROVIDER_DENIED)


def test_a_delay_between_the_response_and_its_evaluation_does_not_confirm_access_denied() -> None:
    """A process that was stopped sees the second response late: the request was sent soon after the first one."""
    session, _ = pending(respond(reserved(due()), NOT_ASSIGNED, after=0))
    pending(respond(reserved(session, NOW + 30), NOT_ASSIGNED, after=300))


@pytest.mark.parametrize("grant", [granted(), granted(access_token=None)], ids=["renewed", "without access token"])
def test_a_grant_in_between_resets_access_denied(grant: Granted) -> None:
    session, _ = pending(respond(reserved(due()), NOT_ASSIGNED, after=0))
    result = respond(reserved(session, NOW + 30), grant, after=31)
    assert isinstance(result, Renewed | Pending)
    _, attempt = pending(respond(reserved(result.session, NOW + 5000), NOT_ASSIGNED, after=5001))
    assert attempt.denied_at == NOW + 5001


PROOF = ClientProof("ours", granted_ago=0.0)  # another token was granted just before
CONFIGURATION_ERRORS = [
    *[Denied(400, error, proof=PROOF) for error in sorted(NEVER_FINAL)],
    *[Denied(400, error, proof=PROOF) for error in ("unreadable",)],
    *[Denied(status, "invalid_grant", proof=PROOF) for status in (401, 404, 200)],
    *[Denied(status, "invalid_request", proof=PROOF) for status in (401, 403, 404)],
    *[Denied(status, "access_denied", proof=PROOF) for status in (401, 403)],
    *[
        Denied(401, "invalid_client"),
        Denied(403, "server_error"),
        Denied(404, "unreadable"),
        Denied(404, "unspecified"),
    ],
]


@pytest.mark.case("RF-032", "RF-033", "RF-034")
@pytest.mark.parametrize("answer", CONFIGURATION_ERRORS, ids=lambda answer: f"{answer.status} {answer.error}")
def test_a_refusal_of_our_configuration_consumes_nothing_and_ends_nothing(answer: Denied) -> None:
    session, moment = due(), NOW
    for _ in range(12):  # several minutes of it
        session, attempt = pending(respond(reserved(session, moment), answer, moment - NOW))
        assert session.tokens == due().tokens
        assert (session.rotation, attempt.first_sent_at, attempt.denied_at) == (3, None, None)
        assert (attempt.refused_at, attempt.refused_with) == (None, "")
        assert moment < attempt.not_before <= moment + MAX_BACKOFF
        moment = attempt.not_before
    record = reserved(session, moment)
    assert not attempt_of(record).after_grace
    renewed(respond(record, granted(), moment - NOW))
