"""How a token response changes a session: the table of outcomes of a refresh. Pure; times are in seconds."""

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.session.audience_tokens import NO_TOKEN, keep_failure, keep_resource_refusal, keep_token, resource_name
from bff.session.refusal import Refusal, classify, is_confirmed
from bff.session.rotation import promote_successor
from bff.session.session import ConcurrentSuccessor, EndReason, RefreshAttempt, Session
from bff.session.timing import (
    MAX_BACKOFF,
    MAX_UNANSWERED_BACKOFF,
    MIN_BACKOFF,
    RESEND_MARGIN,
    RESEND_TRIES,
    RefreshPolicy,
    backoff,
    inside_grace,
    new_tokens,
    resend_deadline,
)


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
    if attempt.resource is not None:
        failed = _apply_resource_failure(session, attempt, reserved, answer, now, policy)
        if failed is not None:
            return failed
    match answer:
        case Granted(response):
            return _apply_granted(session, attempt, sent, response, now, policy)
        case Denied():
            return _apply_refusal(session, attempt, reserved, answer, now, policy)
        case Postponed(retry_after):
            return Pending(_not_consumed(session, attempt, now, policy, wait=retry_after))
        case NoAnswer(may_have_been_sent=False, retry_after=retry_after):
            limit = MAX_UNANSWERED_BACKOFF
            return Pending(_not_consumed(session, attempt, now, policy, wait=retry_after, limit=limit))
        case NoAnswer(retry_after=retry_after):
            return _apply_unknown(session, attempt, now, policy, retry_after)
        case _:
            assert_never(answer)


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
    if attempt.resource is not None:
        renewed = _with_successor(session, successor, sibling, response.id_token)
        name = resource_name(attempt.resource)
        if tokens is None:
            return Renewed(keep_failure(renewed, name, now, refused=NO_TOKEN))
        return Renewed(keep_token(renewed, name, tokens))
    if tokens is None:
        # A replay may have returned the token it was sent, whose grace period continues.
        first = attempt.previous_first_sent_at if successor == sent else None
        waiting = replace(attempt, first_sent_at=first, previous_first_sent_at=first, denied_at=None, lease_until=now)
        waiting = replace(waiting, not_before=now + backoff(attempt.tries, session.key))
        waiting = replace(waiting, refused_at=None, refused_with="")
        rotation = session.rotation + (successor != session.tokens.refresh_token)
        tokens = replace(session.tokens, refresh_token=successor)
        kept = replace(session, version=session.version + 1, rotation=rotation, tokens=tokens)
        return Pending(replace(kept, attempt=waiting, concurrent_successor=sibling))
    id_token, scope = tokens.id_token or session.tokens.id_token, tokens.scope or session.tokens.scope
    tokens = replace(tokens, refresh_token=successor, id_token=id_token, scope=scope)
    renewed = replace(session, version=session.version + 1, rotation=session.rotation + 1, tokens=tokens)
    return Renewed(replace(renewed, attempt=None, concurrent_successor=sibling, rejected_token=None))


def _with_successor(
    session: Session, successor: str | None, sibling: ConcurrentSuccessor | None, id_token: str | None
) -> Session:
    """After a refresh for a resource: the session's own access token stays. The version is the caller's to increase."""
    tokens = replace(session.tokens, refresh_token=successor, id_token=id_token or session.tokens.id_token)
    renewed = replace(session, rotation=session.rotation + 1, tokens=tokens, attempt=None)
    return replace(renewed, concurrent_successor=sibling)


def _apply_resource_failure(
    session: Session, attempt: RefreshAttempt, reserved: Session, answer: TokenResult, now: float, policy: RefreshPolicy
) -> Pending | None:
    """A request for a resource that consumed nothing: the failure is that resource's, and ends no session.

    None for any other response. A final refusal may come from the resource, so a refresh without it is sent at once,
    whose response decides. With an earlier send of unknown outcome the attempt stays as it is.
    """
    name = resource_name(attempt.resource or "")
    match answer:
        case Denied() if classify(answer, policy.final_errors) is Refusal.FINAL:
            refused = keep_resource_refusal(session, name, now, answer.error)
            result = _apply_invalid(refused, attempt, reserved, now, policy)
            if isinstance(result, Ended):
                plain = replace(attempt, resource=None)
                result = Pending(_not_consumed(refused, plain, now, policy, wait=0.0), resend=True)
            return Pending(replace(result.session, version=session.version + 1), result.resend)
        case Denied(error=error):
            failed = keep_resource_refusal(session, name, now, error)
        case Postponed(retry_after) | NoAnswer(may_have_been_sent=False, retry_after=retry_after):
            failed = keep_failure(session, name, now, wait=retry_after, limit=MAX_UNANSWERED_BACKOFF)
        case _:
            return None
    if attempt.previous_first_sent_at is None:
        return Pending(replace(failed, attempt=None))
    return Pending(replace(_not_consumed(failed, attempt, now, policy), version=session.version + 1))


def _apply_refusal(
    session: Session, attempt: RefreshAttempt, reserved: Session, answer: Denied, now: float, policy: RefreshPolicy
) -> RefreshResult:
    asked_at = attempt.lease_until - policy.lease
    match classify(answer, policy.final_errors):
        case Refusal.FINAL:
            return _apply_invalid(session, attempt, reserved, now, policy)
        case Refusal.USER_DENIED:
            if attempt.denied_at is not None and asked_at - attempt.denied_at >= policy.confirm_refusal_after:
                return Ended(EndReason.PROVIDER_DENIED)
            denied_at = now if attempt.denied_at is None else attempt.denied_at
            return Pending(_not_consumed(session, replace(attempt, denied_at=denied_at), now, policy))
        case Refusal.UNCONFIRMED if is_confirmed(session, attempt, answer, asked_at, now, policy):
            return _apply_invalid(session, attempt, reserved, now, policy)
        case Refusal.UNCONFIRMED if session.tokens.refresh_token == reserved.tokens.refresh_token:
            credentials = answer.proof.credentials if answer.proof is not None else ""
            if attempt.refused_at is None or attempt.refused_with != credentials:
                # The first refusal, or one that other credentials may have caused: it counts from here.
                attempt = replace(attempt, refused_at=now, refused_with=credentials)
            return Pending(_not_consumed(session, attempt, now, policy))
        case Refusal.UNCONFIRMED | Refusal.NOT_THE_TOKEN:
            return Pending(_not_consumed(session, attempt, now, policy))
        case never:
            assert_never(never)


def _apply_invalid(
    session: Session, attempt: RefreshAttempt, reserved: Session, now: float, policy: RefreshPolicy
) -> Pending | Ended:
    """The refresh token that was sent is invalid for good; another one that the record holds may be valid."""
    if session.tokens.refresh_token != reserved.tokens.refresh_token:
        # The record has a newer token than the rejected one.
        session = replace(session, concurrent_successor=None)
        return Pending(_not_consumed(session, attempt, now, policy, wait=0.0), resend=True)
    if session.concurrent_successor is not None:
        promoted = promote_successor(session, now)
        return Pending(replace(promoted, version=session.version + 1), resend=True)
    return Ended(EndReason.REFRESH_TOKEN_INVALID)


def _not_consumed(
    session: Session,
    attempt: RefreshAttempt,
    now: float,
    policy: RefreshPolicy,
    *,
    wait: float | None = None,
    limit: float = MAX_BACKOFF,
) -> Session:
    """This send certainly did not use the token; an earlier unknown outcome, if any, remains unknown."""
    first, least = attempt.previous_first_sent_at, backoff(attempt.tries, session.key, limit)
    pause = least if wait is None else max(0.0, wait)
    if first is not None:
        # An earlier send may have rotated it: a wait beyond the grace period would lose it, so retry once more in time.
        in_time = resend_deadline(first, policy) - now
        pause = in_time if (MIN_BACKOFF if wait is None else least) <= in_time < pause else pause
    waiting = replace(attempt, first_sent_at=first, lease_until=now, not_before=now + pause)
    return replace(session, version=session.version + 1, attempt=waiting)


def _apply_unknown(
    session: Session, attempt: RefreshAttempt, now: float, policy: RefreshPolicy, retry_after: float | None
) -> Pending:
    pause = backoff(attempt.tries, session.key, MAX_UNANSWERED_BACKOFF)
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
