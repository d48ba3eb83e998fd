"""When a session's tokens are renewed, and what an answer does to the session: the whole state table.

Pure: no I/O, no clock, no randomness. `decide` says what a caller may do with a record, `settle` what an answer makes
of the record as it stands *now*. The lease is a field of the record, so replace-if-version alone keeps it single.
The laws these tables keep are asserted in `tests/session/explorer/` and `tests/simulation/`. Times are seconds.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenAnswer, TokenResponse
from bff.session.session import Alternate, EndReason, RefreshAttempt, Session
from bff.session.timing import (
    CONFIRM_DENIED_AFTER,
    LEAST_WAIT,
    REFUSED_TOKEN_AGE,
    RESEND_MARGIN,
    RESEND_TRIES,
    RefreshPolicy,
    back_off,
    inside_grace,
    last_moment,
    limit_reached,
    new_tokens,
    token_fingerprint,
)


@dataclass(frozen=True, slots=True)
class UseAccessToken:
    pass


@dataclass(frozen=True, slots=True)
class SendRefresh:
    """Write `reserved` (if the version is still its own minus one), then present its refresh token."""

    reserved: Session
    late: bool


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
class StillUnknown:
    """The session lives on with the refresh token it has. `resend`: the same holder may go again at once."""

    session: Session
    resend: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    reason: EndReason


@dataclass(frozen=True, slots=True)
class NotOurs:
    """Another holder has taken over. `session`, if any, keeps what we were given as its alternate."""

    session: Session | None = None


RefreshResult: TypeAlias = Renewed | StillUnknown | Ended | NotOurs


def decide(
    session: Session,
    now: float,
    policy: RefreshPolicy,
    attempt_id: str,
    *,
    last_seen_at: float | None = None,
    refused: str | None = None,
    resend: bool = False,
) -> RefreshDecision:
    """What may be done with this record. `refused` is the fingerprint of an access token an upstream answered 401 to.

    `resend` is set by a holder whose own send failed quickly (`StillUnknown.resend`): it need not wait.
    """
    reason = limit_reached(session, now, policy, now if last_seen_at is None else last_seen_at)
    if reason is not None:
        return SignInAgain(reason)
    tokens, attempt = session.tokens, session.attempt
    valid = now < tokens.usable_until
    forced = _forced(session, now, refused)

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
    if session.alternate is not None and session.alternate.rotation == session.rotation:
        # A paused holder's answer came back after all: use its successor, send nothing late.
        return _reserve(_promote(session, now), now, policy, attempt_id, forced=forced)
    if valid:
        return UseAccessToken()
    if not policy.late:
        return SignInAgain(EndReason.ROTATION_LOST)
    return _reserve(session, now, policy, attempt_id, forced=forced, late=True)


def settle(
    session: Session, reserved: Session, answer: TokenAnswer, now: float, policy: RefreshPolicy
) -> RefreshResult:
    """What `answer`, to the request that `reserved` was sent with, makes of `session`, the record as it stands now."""
    ours = reserved.attempt
    if ours is None:
        raise ValueError("an answer can only settle a reservation")
    attempt, sent = session.attempt, reserved.tokens.refresh_token
    if attempt is None or attempt.attempt_id != ours.attempt_id:
        return _settle_not_ours(session, reserved, answer)
    match answer:
        case Granted(response):
            return _settle_granted(session, attempt, sent, response, now, policy)
        case Denied(400, "invalid_grant") if session.tokens.refresh_token != sent:
            # A successor was brought home meanwhile: what was refused is not what the session has now.
            session = replace(session, alternate=None)
            return StillUnknown(_not_consumed(session, attempt, now, policy, wait=0.0), resend=True)
        case Denied(400, "invalid_grant"):
            if session.alternate is not None:
                promoted = _promote(session, now)
                return StillUnknown(replace(promoted, version=session.version + 1), resend=True)
            return Ended(EndReason.REFRESH_TOKEN_INVALID)
        case Denied(400, "access_denied"):
            if attempt.denied_at is not None and now - attempt.denied_at >= CONFIRM_DENIED_AFTER:
                return Ended(EndReason.PROVIDER_DENIED)
            denied_at = now if attempt.denied_at is None else attempt.denied_at
            return StillUnknown(_not_consumed(session, attempt, now, policy, denied_at=denied_at))
        case Denied():
            return StillUnknown(_not_consumed(session, attempt, now, policy))
        case Postponed(retry_after) | NoAnswer(may_have_been_sent=False, retry_after=retry_after):
            return StillUnknown(_not_consumed(session, attempt, now, policy, wait=retry_after))
        case NoAnswer(retry_after=retry_after):
            return _settle_unknown(session, attempt, now, policy, retry_after)
        case _:
            assert_never(answer)


def _forced(session: Session, now: float, refused: str | None) -> bool:
    """Due now because an upstream refused the token: only the present one, only once, only if it is not brand new."""
    if refused is None or refused == session.refused or now < session.tokens.received_at + REFUSED_TOKEN_AGE:
        return False
    return refused == token_fingerprint(session.tokens.access_token)


def _reserve(
    session: Session, now: float, policy: RefreshPolicy, attempt_id: str, *, forced: bool, late: bool = False
) -> SendRefresh:
    before = session.attempt
    first_sent_at = before.first_sent_at if before else None
    attempt = RefreshAttempt(
        attempt_id=attempt_id,
        tries=before.tries + 1 if before else 1,
        # Never moves while an outcome is unknown: the provider's grace began, at the earliest, with the first send.
        first_sent_at=now if first_sent_at is None else first_sent_at,
        lease_until=now + policy.lease,
        restore_first_sent_at=first_sent_at,
        late=late,
        denied_at=before.denied_at if before else None,
    )
    refused = token_fingerprint(session.tokens.access_token) if forced else session.refused
    return SendRefresh(replace(session, version=session.version + 1, attempt=attempt, refused=refused), late)


def _promote(session: Session, now: float) -> Session:
    """The alternate becomes the session's refresh token: never sent before, so its attempt starts afresh."""
    if session.alternate is None or session.attempt is None:
        raise ValueError("there is no alternate to promote")
    fresh = replace(session.attempt, first_sent_at=None, restore_first_sent_at=None, lease_until=now, not_before=now)
    return replace(
        session,
        rotation=session.rotation + 1,
        tokens=replace(session.tokens, refresh_token=session.alternate.refresh_token),
        alternate=None,
        attempt=replace(fresh, late=False),
    )


def _settle_granted(
    session: Session,
    attempt: RefreshAttempt,
    sent: str | None,
    response: TokenResponse,
    now: float,
    policy: RefreshPolicy,
) -> RefreshResult:
    successor = response.refresh_token or session.tokens.refresh_token
    alternate = session.alternate
    # What a second holder was given in this same rotation is a sibling of ours, kept until the next one succeeds. The
    # same token given twice is no second chance: once refused, it must not be tried again.
    if alternate is not None and (alternate.rotation != session.rotation or alternate.refresh_token == successor):
        alternate = None
    if alternate is not None and successor == sent:
        # A replay that hands back the token it was sent would take us backwards: the sibling is newer.
        successor, alternate = alternate.refresh_token, Alternate(sent or "", session.rotation, attempt.tries)
    # A replayed answer may carry a token as old as the first send, but no older than the grace that allowed the replay.
    asked_at = attempt.lease_until - policy.lease
    if attempt.first_sent_at is not None:
        asked_at = max(attempt.first_sent_at, asked_at - policy.grace)
    tokens = new_tokens(response, session.key, asked_at, now, policy.early)
    if tokens is None:
        # A replay may have handed back what it was sent: the grace of that token runs on.
        first = attempt.restore_first_sent_at if successor == sent else None
        waiting = replace(attempt, first_sent_at=first, restore_first_sent_at=first, denied_at=None, lease_until=now)
        waiting = replace(waiting, not_before=now + back_off(attempt.tries, session.key))
        rotation = session.rotation + (successor != session.tokens.refresh_token)
        tokens = replace(session.tokens, refresh_token=successor)
        kept = replace(session, version=session.version + 1, rotation=rotation, tokens=tokens)
        return StillUnknown(replace(kept, attempt=waiting, alternate=alternate))
    id_token, scope = tokens.id_token or session.tokens.id_token, tokens.scope or session.tokens.scope
    tokens = replace(tokens, refresh_token=successor, id_token=id_token, scope=scope)
    renewed = replace(session, version=session.version + 1, rotation=session.rotation + 1, tokens=tokens)
    return Renewed(replace(renewed, attempt=None, alternate=alternate, refused=None))


def _not_consumed(
    session: Session,
    attempt: RefreshAttempt,
    now: float,
    policy: RefreshPolicy,
    *,
    wait: float | None = None,
    denied_at: float | None = None,
) -> Session:
    """The token was certainly not used by this send: an earlier unknown outcome, if any, is still the only one."""
    first, least = attempt.restore_first_sent_at, back_off(attempt.tries, session.key)
    pause = least if wait is None else max(0.0, wait)
    if first is not None:
        # An earlier send may have rotated it: a wait that outlasts the grace would lose it, so ask once more in time.
        # A provider that names a wait is given at least our own; where none is named the last moment is not missed.
        in_time = last_moment(first, policy) - now
        pause = in_time if (LEAST_WAIT if wait is None else least) <= in_time < pause else pause
    waiting = replace(attempt, first_sent_at=first, lease_until=now, not_before=now + pause)
    if denied_at is not None:
        waiting = replace(waiting, denied_at=denied_at)
    return replace(session, version=session.version + 1, attempt=waiting)


def _settle_unknown(
    session: Session, attempt: RefreshAttempt, now: float, policy: RefreshPolicy, retry_after: float | None
) -> StillUnknown:
    pause = back_off(attempt.tries, session.key)
    in_time = 0.0 if attempt.late else last_moment(attempt.first_sent_at or now, policy) - now
    pause = in_time if LEAST_WAIT <= in_time < pause else pause  # or many tries would outlast what is left of the grace
    waiting = replace(attempt, lease_until=now, not_before=now + pause)
    if retry_after is not None and not inside_grace(waiting, now + pause, policy):
        # The token may be rotated already: inside the grace waiting would lose it, only later sends can be spaced.
        waiting = replace(waiting, not_before=now + max(pause, retry_after))
    quick = now < attempt.lease_until - policy.lease + RESEND_MARGIN and attempt.tries < RESEND_TRIES
    resend = quick and not attempt.late and inside_grace(waiting, now, policy, resend=True)
    return StillUnknown(replace(session, version=session.version + 1, attempt=waiting), resend)


def _settle_not_ours(session: Session, reserved: Session, answer: TokenAnswer) -> NotOurs:
    sent, attempt = reserved.tokens.refresh_token, reserved.attempt
    if not isinstance(answer, Granted) or attempt is None:
        return NotOurs()
    given = answer.tokens.refresh_token
    if not given or given in (sent, session.tokens.refresh_token) or session.rotation > reserved.rotation + 1:
        return NotOurs()
    ours = Alternate(given, reserved.rotation, attempt.tries)
    if session.rotation == reserved.rotation + 1 and session.tokens.refresh_token == sent:
        # The other holder's replay went backwards; ours is the successor.
        tokens = replace(session.tokens, refresh_token=given)
        back = Alternate(sent or "", reserved.rotation, attempt.tries)
        return NotOurs(replace(session, version=session.version + 1, tokens=tokens, alternate=back))
    kept = session.alternate
    if kept is not None and kept.rotation == ours.rotation and kept.tries >= ours.tries:
        return NotOurs()
    return NotOurs(replace(session, version=session.version + 1, alternate=ours))
