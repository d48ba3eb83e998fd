"""When a session's tokens are refreshed: the state table, as two pure functions.

`decide` says what may be done with a record, `reserve` what is written before its refresh token is sent;
`bff.session.token_response` says how the response changes the record. No I/O, no clock, no randomness. The lease is a
field of the record, so compare-and-swap on the version suffices for single flight. docs/invariants.md lists the
invariants of these tables; `tests/proof/explorer/` and `tests/proof/simulation/` assert them. Times are in seconds.
"""

from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from bff.session.audience_tokens import entry, is_due, resource_name
from bff.session.session import EndReason, RefreshAttempt, Session
from bff.session.session_view import SessionView
from bff.session.timing import REFUSED_TOKEN_AGE, RefreshPolicy, inside_grace, limit_reached, token_fingerprint


@dataclass(frozen=True, slots=True)
class UseAccessToken:
    pass


@dataclass(frozen=True, slots=True)
class SendRefresh:
    """A refresh is due: write what `reserve` returns, then send its refresh token.

    `after_grace`: the provider's grace period is over, so it may see reuse. `use_successor`: send the concurrent
    successor in place of the session's own token. `rejected`: an upstream rejected the current access token.
    `resource`: the access token is requested for that protected resource (RFC 8707), not for the session itself.
    """

    after_grace: bool = False
    use_successor: bool = False
    rejected: bool = False
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class AwaitRefresh:
    until: float


@dataclass(frozen=True, slots=True)
class RetryLater:
    at: float


@dataclass(frozen=True, slots=True)
class SignInAgain:
    reason: EndReason


_USE_ACCESS_TOKEN: Final = UseAccessToken()


@dataclass(frozen=True, slots=True)
class ResourceCause:
    """A protected resource that a token is needed for. `rejected`: the fingerprint of one that got a 401."""

    resource: str
    rejected: str | None = None


RefreshDecision: TypeAlias = UseAccessToken | SendRefresh | AwaitRefresh | RetryLater | SignInAgain


def decide(
    session: SessionView,
    now: float,
    policy: RefreshPolicy,
    *,
    last_seen_at: float | None = None,
    rejected_token: str | None = None,
    resend_of: str | None = None,
    wanted: ResourceCause | None = None,
) -> RefreshDecision:
    """What may be done with this record.

    `wanted`: a refresh for that resource may be sent if none is due for the session itself.
    `rejected_token` is the fingerprint of an access token that an upstream answered with 401. `resend_of` is the id of
    the caller's own attempt, if it failed quickly (`Pending.resend`): as long as the record holds that attempt, its
    holder need not wait.
    """
    reason = limit_reached(session, now, policy, now if last_seen_at is None else last_seen_at)
    if reason is not None:
        return SignInAgain(reason)
    tokens, attempt = session.tokens, session.attempt
    valid = now < tokens.usable_until
    rejected = _is_rejected(session, now, rejected_token)

    if attempt is None:
        if valid and now < tokens.refresh_at and not rejected:
            if wanted is not None and tokens.refreshable and _is_wanted(session, now, wanted):
                return SendRefresh(resource=wanted.resource)
            return _USE_ACCESS_TOKEN
        if not tokens.refreshable:
            return UseAccessToken() if valid else SignInAgain(EndReason.NO_REFRESH_TOKEN)
        return SendRefresh(rejected=rejected)

    resend = attempt.attempt_id == resend_of
    if now < attempt.lease_until:
        # Some providers end the old access token with the refresh: a 401 may be the first sign of the new one.
        usable = valid and not is_current(session, rejected_token)
        return UseAccessToken() if usable else AwaitRefresh(attempt.lease_until)
    if now < attempt.not_before and not resend:
        return UseAccessToken() if valid else RetryLater(attempt.not_before)
    if inside_grace(attempt, now, policy, resend=resend):
        return SendRefresh(rejected=rejected)
    if session.concurrent_successor is not None and session.concurrent_successor.rotation == session.rotation:
        # A paused holder's response arrived after all: use that successor instead of a send after the grace period.
        return SendRefresh(use_successor=True, rejected=rejected)
    if valid:
        return UseAccessToken()
    if not policy.after_grace:
        return SignInAgain(EndReason.ROTATION_LOST)
    return SendRefresh(after_grace=True, rejected=rejected)


def reserve(session: Session, decision: SendRefresh, now: float, policy: RefreshPolicy, attempt_id: str) -> Session:
    """The record to write before its refresh token is sent; `now` and `session` are those of the decision."""
    if decision.use_successor:
        session = promote_successor(session, now)
    before = session.attempt
    first_sent_at = before.first_sent_at if before else None
    attempt = RefreshAttempt(
        attempt_id=attempt_id,
        tries=before.tries + 1 if before else 1,
        # Unchanged while an outcome is unknown: the provider's grace period began with the first send at the earliest.
        first_sent_at=now if first_sent_at is None else first_sent_at,
        lease_until=now + policy.lease,
        previous_first_sent_at=first_sent_at,
        after_grace=decision.after_grace,
        denied_at=before.denied_at if before else None,
        refused_at=before.refused_at if before else None,
        refused_with=before.refused_with if before else "",
        resource=_resource_of(before, decision),
    )
    rejected_token = token_fingerprint(session.tokens.access_token) if decision.rejected else session.rejected_token
    return replace(session, version=session.version + 1, attempt=attempt, rejected_token=rejected_token)


def _resource_of(before: RefreshAttempt | None, decision: SendRefresh) -> str | None:
    """A provider may replay the response to the first send, with the token that was requested then: so a resend inside
    the grace period requests the same one.
    """
    if before is None:
        return decision.resource
    return None if decision.after_grace else before.resource


def _is_wanted(session: SessionView, now: float, wanted: ResourceCause) -> bool:
    kept = entry(session, resource_name(wanted.resource))
    return now >= kept.not_before and is_due(kept, now, wanted.rejected)


def promote_successor(session: Session, now: float) -> Session:
    """The concurrent successor becomes the session's refresh token: it has never been sent, so its attempt starts
    afresh.
    """
    if session.concurrent_successor is None or session.attempt is None:
        raise ValueError("there is no concurrent successor to promote")
    fresh = replace(session.attempt, first_sent_at=None, previous_first_sent_at=None, lease_until=now, not_before=now)
    fresh = replace(fresh, refused_at=None, refused_with="")
    tokens = replace(session.tokens, refresh_token=session.concurrent_successor.refresh_token)
    promoted = replace(session, rotation=session.rotation + 1, tokens=tokens, concurrent_successor=None)
    return replace(promoted, attempt=replace(fresh, after_grace=False))


def _is_rejected(session: SessionView, now: float, rejected_token: str | None) -> bool:
    """Whether an upstream's 401 makes a refresh due: only for the current token, only once,
    and only if it is not new.
    """
    if rejected_token == session.rejected_token or now < session.tokens.received_at + REFUSED_TOKEN_AGE:
        return False
    return is_current(session, rejected_token)


def is_current(session: SessionView, rejected_token: str | None) -> bool:
    """Whether the token with this fingerprint, which an upstream rejected, is still the session's access token."""
    return rejected_token is not None and rejected_token == token_fingerprint(session.tokens.access_token)
