"""`apply_token_response` to a refresh for a protected resource (RFC 8707): the chain goes on, the session stays."""

from dataclasses import replace

import pytest

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.session.audience_tokens import (
    MOST_ENTRIES,
    RequestToken,
    RetryToken,
    decide_token,
    entry,
    reserve_token,
    resource_name,
    without_oldest,
)
from bff.session.rotation import ResourceCause, SendRefresh, UseAccessToken, decide, reserve
from bff.session.session import Session
from bff.session.token_response import Pending, Renewed, apply_token_response
from tests.harness.refresh_records import NOW, POLICY, fresh

STOCK = "https://stock.example.com"
NAME = resource_name(STOCK)
WANTED = ResourceCause(STOCK)
GRANTED = Granted(TokenResponse("for-stock", 600, "refresh-4"))


def reserved(session: Session | None = None, now: float = NOW) -> Session:
    session = fresh() if session is None else session
    decision = decide(session, now, POLICY, wanted=WANTED)
    assert decision == SendRefresh(resource=STOCK)
    return reserve(session, decision, now, POLICY, "mine")


def respond(record: Session, answer: TokenResult, now: float = NOW + 1) -> Session:
    result = apply_token_response(record, record, answer, now, POLICY)
    assert isinstance(result, Renewed | Pending)
    assert result.session.version == record.version + 1
    return result.session


def test_the_token_is_the_resources_and_the_refresh_token_the_sessions() -> None:
    before, after = fresh(), respond(reserved(), GRANTED)
    assert entry(after, NAME).access_token == "for-stock"
    assert after.tokens == replace(before.tokens, refresh_token="refresh-4")
    assert (after.rotation, after.attempt) == (before.rotation + 1, None)
    assert decide(after, NOW + 1, POLICY, wanted=WANTED) == UseAccessToken()


def test_without_a_usable_token_the_successor_is_kept_all_the_same() -> None:
    after = respond(reserved(), Granted(TokenResponse(None, None, "refresh-4")))
    assert (after.tokens.refresh_token, entry(after, NAME).refused) == ("refresh-4", "no_access_token")
    assert decide(after, NOW + 1, POLICY, wanted=WANTED) == UseAccessToken()  # not at once


@pytest.mark.parametrize(
    "answer",
    [
        Denied(400, "invalid_target"),
        Denied(400, "access_denied"),
        Denied(400, "invalid_request"),
        Denied(401, "invalid_client"),
        Postponed(5.0),
        NoAnswer(False),
    ],
)
def test_what_consumed_nothing_is_the_failure_of_that_resource(answer: TokenResult) -> None:
    after = respond(reserved(), answer)
    assert replace(after, version=fresh().version, audience_tokens=None) == fresh()
    assert entry(after, NAME).not_before > NOW


@pytest.mark.parametrize(("error", "again"), [("invalid_target", False), ("access_denied", True)])
def test_a_refused_resource_is_never_requested_again_in_this_session(error: str, again: bool) -> None:
    """A provider may consume the refresh token before it refuses the resource."""
    after = respond(reserved(), Denied(400, error))
    long = NOW + 365 * 86400
    later = replace(after, ends_at=long + 1, tokens=replace(after.tokens, refresh_at=long + 1, usable_until=long + 1))
    decision = decide(later, long, POLICY, last_seen_at=long, wanted=WANTED)
    assert decision == (SendRefresh(resource=STOCK) if again else UseAccessToken())
    assert isinstance(decide_token(later, NAME, long, by_refresh=True), RequestToken if again else RetryToken)


def test_a_final_refusal_outlasts_tokens_when_space_is_short() -> None:
    record = respond(reserved(), Denied(400, "invalid_target"))
    for number in range(MOST_ENTRIES):
        record = reserve_token(record, f"other-{number}", NOW + 2 + number, lease=10, attempt_id="x")
    assert entry(record, NAME).refused == "invalid_target"
    assert entry(without_oldest(record), NAME).refused == "invalid_target"


def test_after_a_lost_response_the_same_resource_is_requested_and_the_grace_period_runs_on() -> None:
    lost = respond(reserved(), NoAnswer(True))
    assert lost.attempt is not None
    again = decide(lost, lost.attempt.not_before, POLICY)
    assert isinstance(again, SendRefresh)
    resent = reserve(lost, again, lost.attempt.not_before, POLICY, "mine-2")
    assert resent.attempt is not None
    assert (resent.attempt.resource, resent.attempt.first_sent_at) == (STOCK, NOW)
    refused = respond(resent, Denied(400, "invalid_target"), lost.attempt.not_before + 1)
    assert refused.attempt is not None
    assert (refused.attempt.resource, refused.attempt.first_sent_at) == (STOCK, NOW)


def test_after_the_grace_period_the_sessions_own_token_is_requested() -> None:
    lost = respond(reserved(), NoAnswer(True))
    late = lost.tokens.usable_until + 1
    decision = decide(lost, late, POLICY)
    assert decision == SendRefresh(after_grace=True)
    resent = reserve(lost, decision, late, POLICY, "mine-2")
    assert resent.attempt is not None
    assert resent.attempt.resource is None


def test_a_final_refusal_is_confirmed_without_the_resource() -> None:
    record = reserved()
    result = apply_token_response(record, record, Denied(400, "invalid_grant"), NOW + 1, POLICY)
    assert isinstance(result, Pending)
    assert result.resend
    confirming = decide(result.session, NOW + 1, POLICY, resend_of="mine")
    assert confirming == SendRefresh()
    plain = reserve(result.session, confirming, NOW + 1, POLICY, "mine-2")
    assert plain.attempt is not None
    assert plain.attempt.resource is None
    assert entry(plain, NAME).refused == "invalid_grant"


def test_a_refresh_that_is_due_for_the_session_comes_first() -> None:
    session = fresh()
    assert decide(session, session.tokens.refresh_at, POLICY, wanted=WANTED) == SendRefresh()
    without = replace(session, tokens=replace(session.tokens, refresh_token=None))
    assert decide(without, NOW, POLICY, wanted=WANTED) == UseAccessToken()
