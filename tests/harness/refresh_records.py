"""A session in every state of its refresh, and responses to it, for the tables of `bff.session.rotation`."""

from dataclasses import replace
from typing import Any

from bff.oidc.token import Denied, Granted, NoAnswer, TokenResponse, TokenResult
from bff.session.rotation import RefreshDecision, SendRefresh, decide, reserve
from bff.session.session import ConcurrentSuccessor, RefreshAttempt, Session, SessionKey, Tokens, User
from bff.session.token_response import Pending, RefreshResult, Renewed, Superseded, apply_token_response
from tests.harness.policy import Policy

NOW = 1_800_000_000.0
POLICY = Policy()  # early 60, timeout 8, lease 10, grace 30
KEY = SessionKey("k" * 43)
TOKENS = Tokens(
    access_token="access-3",
    usable_until=NOW + 2995,
    refresh_at=NOW + 2945,
    received_at=NOW - 600,
    refresh_token="refresh-3",
    id_token="id-3",
    scope="openid offline_access",
)


def fresh(**tokens: Any) -> Session:
    """Signed in an hour ago, refreshed ten minutes ago, not due for another forty."""
    return Session(
        key=KEY,
        version=7,
        rotation=3,
        issuer="https://example.okta.com",
        client_id="client",
        user=User("00u1"),
        tokens=replace(TOKENS, **tokens),
        signed_in_at=NOW - 3600,
        ends_at=NOW + 36000,
    )


def due(**tokens: Any) -> Session:
    """A refresh is due; the access token is valid for another 50 s."""
    return fresh(**{"refresh_at": NOW - 1, "usable_until": NOW + 50, **tokens})


def expired(**tokens: Any) -> Session:
    """A refresh is due, and the access token has expired."""
    return due(**{"usable_until": NOW, **tokens})


def with_attempt(session: Session, **changes: Any) -> Session:
    """Another holder's attempt, first sent 15 s ago, whose lease ended 5 s ago: inside the grace period of 30 s."""
    attempt = RefreshAttempt("theirs", tries=1, first_sent_at=NOW - 15, lease_until=NOW - 5)
    return replace(session, attempt=replace(attempt, **changes))


def with_successor(session: Session, refresh_token: str = "refresh-4b", **changes: Any) -> Session:
    successor = ConcurrentSuccessor(refresh_token, rotation=session.rotation, tries=1)
    return replace(session, concurrent_successor=replace(successor, **changes))


def decision_on(
    session: Session, now: float = NOW, policy: Policy = POLICY, *, resend: bool = False, **arguments: Any
) -> RefreshDecision:
    """With `resend` for the holder of the record's own attempt, which failed quickly."""
    if resend and session.attempt:
        arguments["resend_of"] = session.attempt.attempt_id
    return decide(session, now, policy, **arguments)


def reserved(session: Session, now: float = NOW, policy: Policy = POLICY, **arguments: Any) -> Session:
    """The record as its holder has written it, just before the refresh token is sent."""
    decision = decision_on(session, now, policy, **arguments)
    assert isinstance(decision, SendRefresh), decision
    return reserve(session, decision, now, policy, "ours")


def attempt_of(session: Session) -> RefreshAttempt:
    assert session.attempt is not None
    return session.attempt


def granted(
    refresh_token: str | None = "refresh-4",
    *,
    access_token: str | None = "access-4",
    expires_in: int | None = 3600,
    id_token: str | None = "id-4",
    scope: str | None = "openid offline_access",
) -> Granted:
    return Granted(TokenResponse(access_token, expires_in, refresh_token, id_token, scope))


UNKNOWN = NoAnswer(may_have_been_sent=True)
UNSENT = NoAnswer(may_have_been_sent=False)
REFUSED = Denied(400, "invalid_grant")
NOT_ASSIGNED = Denied(400, "access_denied")
INVALID_CLIENT = Denied(401, "invalid_client")


def respond(record: Session, answer: TokenResult, after: float = 1.0, policy: Policy = POLICY) -> RefreshResult:
    """The response arrives `after` seconds, and no other holder has written the record."""
    return apply_token_response(record, record, answer, NOW + after, policy)


def renewed(result: RefreshResult) -> Session:
    assert isinstance(result, Renewed), result
    return result.session


def pending(result: RefreshResult, *, resend: bool = False) -> tuple[Session, RefreshAttempt]:
    assert isinstance(result, Pending), result
    assert result.resend is resend
    return result.session, attempt_of(result.session)


def superseded(result: RefreshResult) -> Session:
    """The record that keeps our tokens."""
    assert isinstance(result, Superseded), result
    assert result.session is not None
    return result.session
