"""When a session's tokens are refreshed, and how a token response changes the session: the complete state table.

Pure: no I/O, no clock, no randomness. `decide` says what a caller may do with a record, `apply_token_response` how a
response changes the *current* record. The lease is a field of the record, so compare-and-swap on the version suffices
for single flight. docs/invariants.md lists the invariants of these tables; `tests/session/explorer/` and
`tests/simulation/` assert them. Times are in seconds.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.session.session import ConcurrentSuccessor, EndReason, RefreshAttempt, Session
from bff.session.timing import (
    CONFIRM_DENIED_AFTER,
    MIN_BACKOFF,
    REFUSED_TOKEN_AGE,
    RESEND_MARGIN,
    RESEND_TRIES,
    RefreshPolicy,
    backoff,
    inside_grace,
    limit_reached,
    new_tokens,
    resend_deadline,
    token_fingerprint,
)


@dataclass(frozen=True, slots=True)
class UseAccessToken:
    pass


@dataclass(frozen=True, slots=True)
class SendRefresh:
    """Write `reserved` (if the stored version is one less), then send its refresh token."""

    reserved: Session
    after_grace: bool


@dataclass(frozen=True, slots=True)
class AwaitRefresh:
    until: float


@dataclass(frozen=True, slots=True)
class RetryLater:
    at: float


@dataclass(frozen=True, slots=True)
class SignInAgain:
    reason: EndReason


RefreshDecision: TypeAlias = UseAccessToken | SendRefresh | AwaitRefresh | RetryLater | SignInAgain


@dataclass(frozen=True, slots=True)
class Renewed:
    session: Session


@dataclass(frozen=True, slots=True)
class Pending:
    """The session continues with its current refresh token. `resend`: the same holder may retry at once."""

    session: Session
    resend: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another holder has taken over. `session`, if any, keeps our tokens as its concurrent successor."""

    session: Session | None = None


RefreshResult: TypeAlias = Renewed | Pending | Ended | Superseded


def decide(
    session: Session,
    now: float,
    policy: RefreshPolicy,
    attempt_id: str,
    *,
    last_seen_at: float | None = None,
    rejected_token: str | None = None,
    resend: bool = False,
) -> RefreshDecision:
    """What may be done with this record.

    `rejected_token` is the fingerprint of an access token that an upstream answered with 401. `resend` is set by a
    holder whose own request failed quickly (`Pending.resend`): it need not wait.
    """
    reason = limit_reached(session, now, policy, now if last_seen_at is None else last_seen_at)
    if reason is not None:
        return SignInAgain(reason)
    tokens, attempt = session.tokens, session.attempt
    valid = now < tokens.usable_until
    forced = _forced(session, now, rejected_token)

    if attempt is None:
        if valid and now < tokens.refresh_at and not forced:
            return UseAccessToken()
        if tokens.refresh_token is None:
            return UseAccessToken() if valid else SignInAgain(EndReason.NO_REFRESH_TOKEN)
        return _reserve(session, now, policy, attempt_id, forced=forced)

    if now < attempt.lease_until:
        return UseAccessToken() if valid and not forced else AwaitRefresh(attempt.lease_until)
    if now < attempt.not_before and not resend:
        return UseAccessToken() if valid else RetryLater(attempt.not_before)
    if inside_grace(attempt, now, policy, resend=resend):
        return _reserve(session, now, policy, attempt_id, forced=forced)
    if session.concurrent_successor is not None and session.concurrent_successor.rotation == session.rotation:
        # A paused holder's response arrived after all: use that successor instead of a send after the grace period.
        return _reserve(_promote(session, now), now, policy, attempt_id, forced=forced)
    if valid:
        return UseAccessToken()
    if not policy.after_grace:
        return SignInAgain(EndReason.ROTATION_LOST)
    return _reserve(session, now, policy, attempt_id, forced=forced, after_grace=True)


def apply_token_response(
    session: Session, reserved: Session, answer: TokenResult, now: float, policy: RefreshPolicy
) -> RefreshResult:
    """Applies `answer`, the response to the request that `reserved` was sent with, to `session`, the current record."""
    ours = reserved.attempt
    if ours is None:
        raise ValueError("a token response can only be applied to a reservation")
    attempt, sent = session.attempt, reserved.tokens.refresh_token
    if attempt is None or attempt.attempt_id != ours.attempt_id:
        return _apply_superseded(session, reserved, answer)
    match answer:
        case Granted(response):
            return _apply_granted(session, attempt, sent, response, now, policy)
        case Denied(400, "invalid_grant") if session.tokens.refresh_token != sent:
            # The record has a newer token than the rejected one.
            session = replace(session, concurrent_successor=None)
            return Pending(_not_consumed(session, attempt, now, policy, wait=0.0), resend=True)
        case Denied(400, "invalid_grant"):
            if session.concurrent_successor is not None:
                promoted = _promote(session, now)
                return Pending(replace(promoted, version=session.version + 1), resend=True)
            return Ended(EndReason.REFRESH_TOKEN_INVALID)
        case Denied(400, "access_denied"):
            if attempt.denied_at is not None and now - attempt.denied_at >= CONFIRM_DENIED_AFTER:
                return Ended(EndReason.PROVIDER_DENIED)
            denied_at = now if attempt.denied_at is None else attempt.denied_at
            return Pending(_not_consumed(session, attempt, now, policy, denied_at=denied_at))
        case Denied():
            return Pending(_not_consumed(session, attempt, now, policy))
        case Postponed(retry_after) | NoAnswer(may_have_been_sent=False, retry_after=retry_after):
            return Pending(_not_consumed(session, attempt, now, policy, wait=retry_after))
        case NoAnswer(retry_after=retry_after):
            return _apply_unknown(session, attempt, now, policy, retry_after)
        case _:
            assert_never(answer)


def _forced(session: Session, now: float, rejected_token: str | None) -> bool:
    """Due now because an upstream rejected the token: only for the current token, only once,
    and only if it is not new.
    """
    if rejected_token in (None, session.rejected_token) or now < session.tokens.received_at + REFUSED_TOKEN_AGE:
        return False
    return rejected_token == token_fingerprint(session.tokens.access_token)


def _reserve(
    session: Session, now: float, policy: RefreshPolicy, attempt_id: str, *, forced: bool, after_grace: bool = False
) -> SendRefresh:
    before = session.attempt
    first_sent_at = before.first_sent_at if before else None
    attempt = RefreshAttempt(
        attempt_id=attempt_id,
        tries=before.tries + 1 if before else 1,
        # Unchanged while an outcome is unknown: the provider's grace period began with the first send at the earliest.
        first_sent_at=now if first_sent_at is None else first_sent_at,
        lease_until=now + policy.lease,
        previous_first_sent_at=first_sent_at,
        after_grace=after_grace,
        denied_at=before.denied_at if before else None,
    )
    rejected = token_fingerprint(session.tokens.access_token) if forced else session.rejected_token
    reserved = replace(session, version=session.version + 1, attempt=attempt, rejected_token=rejected)
    return SendRefresh(reserved, after_grace)


def _promote(session: Session, now: float) -> Session:
    """The concurrent successor becomes the session's refresh token: it has never been sent, so its attempt starts
    afresh.
    """
    if session.concurrent_successor is None or session.attempt is None:
        raise ValueError("there is no concurrent successor to promote")
    fresh = replace(session.attempt, first_sent_at=None, previous_first_sent_at=None, lease_until=now, not_before=now)
    tokens = replace(session.tokens, refresh_token=session.concurrent_successor.refresh_token)
    promoted = replace(session, rotation=session.rotation + 1, tokens=tokens, concurrent_successor=None)
    return replace(promoted, attempt=replace(fresh, after_grace=False))


def _apply_granted(
    session: Session,
    attempt: RefreshAttempt,
    sent: str | None,
    response: TokenResponse,
    now: float,
    policy: RefreshPolicy,
) -> RefreshResult:
    successor = response.refresh_token or session.tokens.refresh_token
    sibling = session.concurrent_successor
    # The token of a second holder in the same rotation is a concurrent successor of ours, kept until the next refresh
    # succeeds. An identical token is not kept: once rejected, it must not be tried again.
    if sibling is not None and (sibling.rotation != session.rotation or sibling.refresh_token == successor):
        sibling = None
    if sibling is not None and successor == sent:
        # A replay that returns the token it was sent would be a step back: the concurrent successor is newer.
        successor, sibling = sibling.refresh_token, ConcurrentSuccessor(sent or "", session.rotation, attempt.tries)
    # A replayed response may carry a token as old as the first send, but no older than the grace period that allowed
    # it.
    asked_at = attempt.lease_until - policy.lease
    if attempt.first_sent_at is not None:
        asked_at = max(attempt.first_sent_at, asked_at - policy.grace)
    tokens = new_tokens(response, session.key, asked_at, now, policy.before_expiry)
    if tokens is None:
        # A replay may have returned the token it was sent, whose grace period continues.
        first = attempt.previous_first_sent_at if successor == sent else None
        waiting = replace(attempt, first_sent_at=first, previous_first_sent_at=first, denied_at=None, lease_until=now)
        waiting = replace(waiting, not_before=now + backoff(attempt.tries, session.key))
        rotation = session.rotation + (successor != session.tokens.refresh_token)
        tokens = replace(session.tokens, refresh_token=successor)
        kept = replace(session, version=session.version + 1, rotation=rotation, tokens=tokens)
        return Pending(replace(kept, attempt=waiting, concurrent_successor=sibling))
    id_token, scope = tokens.id_token or session.tokens.id_token, tokens.scope or session.tokens.scope
    tokens = replace(tokens, refresh_token=successor, id_token=id_token, scope=scope)
    renewed = replace(session, version=session.version + 1, rotation=session.rotation + 1, tokens=tokens)
    return Renewed(replace(renewed, attempt=None, concurrent_successor=sibling, rejected_token=None))


def _not_consumed(
    session: Session,
    attempt: RefreshAttempt,
    now: float,
    policy: RefreshPolicy,
    *,
    wait: float | None = None,
    denied_at: float | None = None,
) -> Session:
    """This send certainly did not use the token; an earlier unknown outcome, if any, remains unknown."""
    first, least = attempt.previous_first_sent_at, backoff(attempt.tries, session.key)
    pause = least if wait is None else max(0.0, wait)
    if first is not None:
        # An earlier send may have rotated it: a wait beyond the grace period would lose it, so retry once more in time.
        in_time = resend_deadline(first, policy) - now
        pause = in_time if (MIN_BACKOFF if wait is None else least) <= in_time < pause else pause
    waiting = replace(attempt, first_sent_at=first, lease_until=now, not_before=now + pause)
    if denied_at is not None:
        waiting = replace(waiting, denied_at=denied_at)
    return replace(session, version=session.version + 1, attempt=waiting)


def _apply_unknown(
    session: Session, attempt: RefreshAttempt, now: float, policy: RefreshPolicy, retry_after: float | None
) -> Pending:
    pause = backoff(attempt.tries, session.key)
    in_time = 0.0 if attempt.after_grace else resend_deadline(attempt.first_sent_at or now, policy) - now
    # Many attempts would otherwise outlast the grace period.
    pause = in_time if MIN_BACKOFF <= in_time < pause else pause
    waiting = replace(attempt, lease_until=now, not_before=now + pause)
    if retry_after is not None and not inside_grace(waiting, now + pause, policy):
        # The token may already be rotated: inside the grace period waiting would lose it, so only sends after it are
        # spaced.
        waiting = replace(waiting, not_before=now + max(pause, retry_after))
    quick = now < attempt.lease_until - policy.lease + RESEND_MARGIN and attempt.tries < RESEND_TRIES
    resend = quick and not attempt.after_grace and inside_grace(waiting, now, policy, resend=True)
    return Pending(replace(session, version=session.version + 1, attempt=waiting), resend)


def _apply_superseded(session: Session, reserved: Session, answer: TokenResult) -> Superseded:
    sent, attempt = reserved.tokens.refresh_token, reserved.attempt
    if not isinstance(answer, Granted) or attempt is None:
        return Superseded()
    given = answer.tokens.refresh_token
    if not given or given in (sent, session.tokens.refresh_token) or session.rotation > reserved.rotation + 1:
        return Superseded()
    ours = ConcurrentSuccessor(given, reserved.rotation, attempt.tries)
    if session.rotation == reserved.rotation + 1 and session.tokens.refresh_token == sent:
        # The other holder's replay returned the old token; ours is the successor.
        tokens = replace(session.tokens, refresh_token=given)
        back = ConcurrentSuccessor(sent or "", reserved.rotation, attempt.tries)
        return Superseded(replace(session, version=session.version + 1, tokens=tokens, concurrent_successor=back))
    kept = session.concurrent_successor
    if kept is not None and kept.rotation == ours.rotation and kept.tries >= ours.tries:
        return Superseded()
    return Superseded(replace(session, version=session.version + 1, concurrent_successor=ours))
