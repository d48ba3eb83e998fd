"""A session in every state of its refresh, and answers to it, for the tables of `bff.session.rotation`."""

from dataclasses import dataclass, replace
from typing import Any

from bff.oidc.token import Denied, Granted, NoAnswer, TokenResponse, TokenResult
from bff.session.rotation import RefreshDecision, SendRefresh, decide
from bff.session.rotation import reserve as reserve_for
from bff.session.session import ConcurrentSuccessor, RefreshAttempt, Session, SessionKey, Tokens, User
from bff.session.token_response import Pending, RefreshResult, Renewed, apply_token_response
from tests.harness.policy import Policy

NOW = 1_800_000_000.0
POLICY = Policy()  # early 60, timeout 8, lease 10, grace 30
KEY = SessionKey("k" * 43)


def fresh(**tokens: Any) -> Session:
    """Signed in an hour ago, renewed ten minutes ago, not due for another forty."""
    return Session(
        key=KEY,
        version=7,
        rotation=3,
        issuer="https://example.okta.com",
        client_id="client",
        user=User("00u1"),
        tokens=replace(
            Tokens(
                access_token="access-3",
                usable_until=NOW + 2995,
                refresh_at=NOW + 2945,
                received_at=NOW - 600,
                refresh_token="refresh-3",
                id_token="id-3",
                scope="openid offline_access",
            ),
            **tokens,
        ),
        signed_in_at=NOW - 3600,
        ends_at=NOW + 36000,
    )


def due(**tokens: Any) -> Session:
    """Renewal is due; the access token is good for another 50 s."""
    return fresh(**{"refresh_at": NOW - 1, "usable_until": NOW + 50, **tokens})


def expired(**tokens: Any) -> Session:
    """Renewal is due, and the access token is past its use."""
    return due(**{"usable_until": NOW, **tokens})


def with_attempt(session: Session, **attempt: Any) -> Session:
    """An attempt of somebody's, sent first 15 s ago, whose lease ended 5 s ago: inside the grace of 30."""
    first = attempt.get("first_sent_at", NOW - 15)
    words: dict[str, Any] = {"attempt_id": "theirs", "tries": 1, "first_sent_at": first, "lease_until": NOW - 5}
    return replace(session, attempt=RefreshAttempt(**{**words, **attempt}))


def with_alternate(session: Session, refresh_token: str = "refresh-4b", **words: Any) -> Session:
    concurrent_successor = {"rotation": session.rotation, "tries": 1, **words}
    return replace(session, concurrent_successor=ConcurrentSuccessor(refresh_token, **concurrent_successor))


def decision_on(
    session: Session, now: float = NOW, policy: Policy = POLICY, *, resend: bool = False, **words: Any
) -> RefreshDecision:
    """With `resend` for the holder of the record's own attempt, which failed quickly."""
    held = session.attempt.attempt_id if resend and session.attempt else None
    return decide(session, now, policy, resend_of=held, **words)


@dataclass(frozen=True)
class Sent:
    after_grace: bool
    reserved: Session

    @property
    def attempt(self) -> RefreshAttempt:
        assert self.reserved.attempt is not None
        return self.reserved.attempt


def sent(session: Session, now: float = NOW, policy: Policy = POLICY, **words: Any) -> Sent:
    """What is reserved, where the decision is to send."""
    decision = decision_on(session, now, policy, **words)
    assert isinstance(decision, SendRefresh), decision
    return Sent(decision.after_grace, reserve_for(session, decision, now, policy, "ours"))


def reserve(session: Session, now: float = NOW, policy: Policy = POLICY, **words: Any) -> Session:
    """The record as its holder has written it, just before the send."""
    return sent(session, now, policy, **words).reserved


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


def renewed(result: RefreshResult) -> Session:
    assert isinstance(result, Renewed), result
    return result.session


def unknown(result: RefreshResult, *, resend: bool = False) -> tuple[Session, RefreshAttempt]:
    assert isinstance(result, Pending), result
    assert result.resend is resend
    assert result.session.attempt is not None
    return result.session, result.session.attempt


def answered(reserved: Session, answer: TokenResult, after: float = 1.0, policy: Policy = POLICY) -> RefreshResult:
    """The answer arrives `after` seconds, and nobody has touched the record."""
    return apply_token_response(reserved, reserved, answer, NOW + after, policy)
