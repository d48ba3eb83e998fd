"""When a refused refresh token is refused for good: the table, and the proof that an unclear refusal needs."""

from dataclasses import replace

import pytest

from bff.oidc.error_codes import NEVER_FINAL
from bff.oidc.token import ClientProof, Denied, NoAnswer, Postponed, TokenResult
from bff.session.refusal import Refusal, classify
from bff.session.session import EndReason, Session
from bff.session.token_response import Ended, apply_token_response
from tests.harness.policy import Policy
from tests.harness.refresh_records import (
    NOW,
    POLICY,
    attempt_of,
    due,
    expired,
    granted,
    pending,
    reserved,
    respond,
    with_attempt,
    with_successor,
)

ENDED = Ended(EndReason.REFRESH_TOKEN_INVALID)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, "invalid_grant", Refusal.FINAL),
        (403, "invalid_grant", Refusal.FINAL),
        (400, "session_gone", Refusal.FINAL),
        (403, "session_gone", Refusal.FINAL),
        (400, "access_denied", Refusal.USER_DENIED),
        *[(400, error, Refusal.UNCONFIRMED) for error in ("invalid_request", "unspecified", "E0000011", "x")],
        *[(400, error, Refusal.NOT_THE_TOKEN) for error in (*sorted(NEVER_FINAL), "unreadable")],
        *[(403, error, Refusal.NOT_THE_TOKEN) for error in ("access_denied", "invalid_request", "unspecified")],
        *[(status, "invalid_grant", Refusal.NOT_THE_TOKEN) for status in (200, 401, 404, 405, 407, 409, 410, 451)],
        *[(status, "session_gone", Refusal.NOT_THE_TOKEN) for status in (200, 401, 404)],
        *[(status, "invalid_request", Refusal.NOT_THE_TOKEN) for status in (200, 401, 404)],
    ],
)
def test_the_table(status: int, error: str, expected: Refusal) -> None:
    assert classify(Denied(status, error), ("invalid_grant", "session_gone")) is expected


@pytest.mark.parametrize("error", sorted(NEVER_FINAL | {"unreadable"}))
def test_what_is_never_final_cannot_be_declared_final(error: str) -> None:
    assert classify(Denied(400, error), (error,)) is Refusal.NOT_THE_TOKEN


def refusal(granted_ago: float | None, credentials: str = "ours", error: str = "invalid_request") -> Denied:
    return Denied(400, error, proof=ClientProof(credentials, granted_ago))


def refused_once(record: Session, answer: Denied | None = None, at: float = 0.0) -> Session:
    """The record after a first refusal, `at` seconds from NOW."""
    result = apply_token_response(record, record, answer or refusal(None), NOW + at, POLICY)
    session, attempt = pending(result)
    assert attempt.refused_at == NOW + at
    return session


@pytest.mark.parametrize(
    ("asked_after", "granted_ago", "credentials", "ends"),
    [
        (60.0, 10.0, "ours", True),
        (60.0, 59.9, "ours", True),
        (3600.0, 0.0, "ours", True),
        (59.9, 10.0, "ours", False),  # too soon
        (60.0, None, "ours", False),  # no token was granted to anybody
        (60.0, 60.0, "ours", False),  # only before the first refusal
        (60.0, 600.0, "ours", False),
        (60.0, 10.0, "others", False),  # granted to, and refused with, other client credentials
    ],
)
@pytest.mark.parametrize("error", ["invalid_request", "unspecified", "x"])
def test_an_unclear_refusal_needs_a_second_one_and_the_proof_that_others_are_granted(
    error: str, asked_after: float, granted_ago: float | None, credentials: str, *, ends: bool
) -> None:
    session = refused_once(reserved(expired()), refusal(5.0, error=error))
    result = respond(reserved(session, NOW + asked_after), refusal(granted_ago, credentials, error), asked_after + 1)
    if ends:
        assert result == ENDED
        return
    again, attempt = pending(result)
    assert again.tokens == session.tokens
    # With other credentials the count begins anew.
    assert attempt.refused_at == (NOW if credentials == "ours" else NOW + asked_after + 1)


@pytest.mark.parametrize("answer", [refusal(1.0), Denied(400, "invalid_request")], ids=["proven", "without proof"])
def test_a_first_refusal_ends_nothing_however_long_others_have_been_granted(answer: Denied) -> None:
    session = refused_once(reserved(expired()), answer)
    assert session.tokens == expired().tokens
    assert attempt_of(session).first_sent_at is None


def test_no_refusal_is_confirmed_while_the_access_token_is_valid() -> None:
    record = due(usable_until=NOW + 200)
    session = refused_once(reserved(record))
    still, _ = pending(respond(reserved(session, NOW + 100), refusal(1.0), 101))
    assert respond(reserved(still, NOW + 200), refusal(1.0), 201) == ENDED


def test_a_delay_between_the_response_and_its_evaluation_confirms_nothing() -> None:
    """A process that was stopped sees the second response late: the request was sent soon after the first one."""
    session = refused_once(reserved(expired()))
    pending(respond(reserved(session, NOW + 30), refusal(1.0), 300))


@pytest.mark.parametrize(
    "between",
    [Postponed(5.0), NoAnswer(True), NoAnswer(False), Denied(401, "invalid_client"), Denied(400, "access_denied")],
    ids=lambda answer: type(answer).__name__,
)
def test_other_responses_in_between_neither_confirm_nor_reset_it(between: TokenResult) -> None:
    session = refused_once(reserved(expired()))
    session, attempt = pending(respond(reserved(session, NOW + 20), between, 25))
    assert (attempt.refused_at, attempt.refused_with) == (NOW, "ours")
    assert respond(reserved(session, NOW + 100), refusal(1.0), 101) == ENDED


@pytest.mark.parametrize("returned", ["refresh-4", None], ids=["rotated", "persistent"])
def test_a_grant_in_between_resets_it(returned: str | None) -> None:
    session = refused_once(reserved(expired()))
    result = respond(reserved(session, NOW + 20), granted(returned), 21)
    again = reserved(replace(result.session, tokens=replace(result.session.tokens, refresh_at=NOW)), NOW + 100)  # type: ignore[union-attr]
    assert attempt_of(again).refused_at is None


@pytest.mark.parametrize("returned", ["refresh-4", "refresh-3"], ids=["rotated", "persistent"])
def test_a_grant_without_an_access_token_resets_it_too(returned: str) -> None:
    session = refused_once(reserved(expired()))
    kept, attempt = pending(respond(reserved(session, NOW + 20), granted(returned, access_token=None), 21))
    assert (kept.tokens.refresh_token, attempt.refused_at, attempt.refused_with) == (returned, None, "")


def test_a_confirmed_refusal_is_treated_as_invalid_grant() -> None:
    """A concurrent successor is tried once, and a token that the record has by now is not the one that was refused."""
    session = refused_once(reserved(with_attempt(expired(), first_sent_at=NOW - 100)))
    again = with_successor(reserved(session, NOW + 100), rotation=2)
    promoted, attempt = pending(respond(again, refusal(1.0), 101), resend=True)
    assert (promoted.tokens.refresh_token, attempt.refused_at) == ("refresh-4b", None)
    moved = replace(again, tokens=replace(again.tokens, refresh_token="refresh-5"), concurrent_successor=None)
    kept, _ = pending(apply_token_response(moved, again, refusal(1.0), NOW + 101, POLICY), resend=True)
    assert kept.tokens.refresh_token == "refresh-5"


def test_a_refusal_of_a_token_that_the_record_no_longer_has_counts_for_nothing() -> None:
    record = reserved(expired())
    moved = replace(record, tokens=replace(record.tokens, refresh_token="refresh-4"))
    _, attempt = pending(apply_token_response(moved, record, refusal(1.0), NOW + 1, POLICY))
    assert attempt.refused_at is None


def test_errors_that_the_settings_name_are_final_at_once() -> None:
    policy = Policy(final_errors=("invalid_grant", "invalid_request"))
    assert respond(reserved(due()), Denied(400, "invalid_request"), policy=policy) == ENDED
    assert respond(reserved(due()), Denied(403, "invalid_request"), policy=policy) == ENDED
    pending(respond(reserved(due()), Denied(401, "invalid_request"), policy=policy))
