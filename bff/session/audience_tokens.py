"""Access tokens by audience in a session record: what may be done with one, and how a response changes it.

Pure, as `bff.session.rotation` is; times are in seconds. An entry has a lease of its own, a field of the record, so
compare-and-swap on the version of the record is all that single flight over replicas needs. A lost response to a token
exchange has consumed nothing: it is requested again. A resource (RFC 8707) is requested by a refresh, whose attempt is
the lease (`RefreshAttempt.resource`); its token is kept here too.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, TypeAlias, assert_never

from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.session.session import Session, Tokens
from bff.session.session_view import SessionView
from bff.session.timing import (
    MAX_BACKOFF,
    MAX_UNANSWERED_BACKOFF,
    REFUSED_TOKEN_AGE,
    backoff,
    new_tokens,
    token_fingerprint,
)

SPACE: Final = 24 * 1024  # bytes of all entries of a record
MOST_ENTRIES: Final = 64
MAX_TOKEN: Final = 16 * 1024  # bytes of a token; a larger one would never stay, and be requested at every call
MAX_REFUSED_BACKOFF: Final = 300.0  # seconds: a refusal is a matter of configuration, and each session asks by itself
# The pause after a resource was refused as such: longer than any session. A provider may consume the refresh token
# before it refuses the resource, so another request could be the one that ends the session.
NEVER_AGAIN: Final = 10 * 365 * 86400.0
INVALID_TARGET: Final = "invalid_target"  # RFC 8707 section 2
TOO_LARGE: Final = "token_too_large"
NO_TOKEN: Final = "no_access_token"  # in the place of an error code: a response without a usable token

# The subject token is refused: invalid_request by RFC 8693 section 2.2.2, the others by providers.
_OF_SUBJECT: Final = frozenset({"invalid_grant", "invalid_request", "invalid_token"})


@dataclass(frozen=True, slots=True)
class AudienceToken:
    """An entry. `attempt_id` and `lease_until` reserve its request for one replica; `requested_at` is when it began.

    `refused` is the error code of the last response, if that was a refusal; `tries` counts the requests since the last
    token. `rejected` is the fingerprint of the token whose rejection by an upstream has already caused a request.
    `revocable`: the issuer and the client are those of the session, so the token can be revoked as its own are.
    """

    access_token: str | None = field(default=None, repr=False)
    usable_until: float = 0.0
    refresh_at: float = 0.0
    received_at: float = 0.0
    requested_at: float = 0.0
    attempt_id: str | None = None
    lease_until: float = 0.0
    not_before: float = 0.0
    tries: int = 0
    refused: str = ""
    rejected: str | None = None
    revocable: bool = False

    @property
    def fingerprint(self) -> str | None:
        return None if self.access_token is None else token_fingerprint(self.access_token)


_FIELDS: Final = frozenset(field_.name for field_ in fields(AudienceToken))
_EMPTY: Final = AudienceToken()


@dataclass(frozen=True, slots=True)
class UseToken:
    """`due`: it is to be renewed, and nothing has to wait for that."""

    token: AudienceToken
    due: bool = False


@dataclass(frozen=True, slots=True)
class RequestToken:
    pass


@dataclass(frozen=True, slots=True)
class AwaitToken:
    until: float


@dataclass(frozen=True, slots=True)
class RetryToken:
    """Not before `at`. `refused`: the provider's error code if it refused, "" if it was unavailable."""

    at: float
    refused: str


TokenDecision: TypeAlias = UseToken | RequestToken | AwaitToken | RetryToken


def entry_name(*parts: str) -> str:
    """Sixteen hex digits, the same in every replica and version, and different for tokens that differ."""
    return hashlib.sha256("\n".join(parts).encode("ascii")).hexdigest()[:16]


def resource_name(resource: str) -> str:
    """The name of the entry for a resource."""
    return entry_name("resource", resource)


def entry(session: SessionView, name: str) -> AudienceToken:
    """The entry of that name; an empty one if there is none."""
    return _read((session.audience_tokens or {}).get(name))


def decide_token(
    session: SessionView, name: str, now: float, *, rejected: str | None = None, by_refresh: bool = False
) -> TokenDecision:
    """What may be done about the token of that name.

    `rejected` is the fingerprint of one that an upstream answered with 401. `by_refresh`: it is requested by a refresh,
    so an attempt of the session's refresh chain is its lease.
    """
    kept, attempt = entry(session, name), session.attempt if by_refresh else None
    valid = kept.access_token is not None and now < kept.usable_until
    if not is_due(kept, now, rejected):
        return UseToken(kept)
    usable = valid and kept.fingerprint != rejected
    lease = attempt.lease_until if attempt is not None else kept.lease_until
    if now < lease:
        return UseToken(kept) if usable else AwaitToken(lease)
    pause = max(kept.not_before, attempt.not_before if attempt is not None else 0.0)
    if now < pause:
        return UseToken(kept) if valid else RetryToken(pause, kept.refused)
    return UseToken(kept, due=True) if usable else RequestToken()


def is_due(kept: AudienceToken, now: float, rejected: str | None = None) -> bool:
    """Whether a token is to be requested, if nothing prevents it."""
    if kept.access_token is None or now >= min(kept.refresh_at, kept.usable_until):
        return True
    return _is_rejected(kept, now, rejected)


def _is_rejected(kept: AudienceToken, now: float, rejected: str | None) -> bool:
    """Whether an upstream's 401 makes a request due: only for the current token, once, and if it is not new."""
    if rejected is None or rejected == kept.rejected or now < kept.received_at + REFUSED_TOKEN_AGE:
        return False
    return rejected == kept.fingerprint


def reserve_token(
    session: Session, name: str, now: float, *, lease: float, attempt_id: str, rejected: str | None = None
) -> Session:
    """The record to write before the token is requested; `session` and `now` are those of the decision."""
    kept = entry(session, name)
    cause = rejected if _is_rejected(kept, now, rejected) else kept.rejected
    reserved = replace(kept, attempt_id=attempt_id, lease_until=now + lease, requested_at=now, rejected=cause)
    return _with(session, name, replace(reserved, tries=kept.tries + 1))


def extend_lease(session: Session, name: str, attempt_id: str, now: float, lease: float) -> Session | None:
    """The record with a lease that begins again, for a second request; None if another replica has taken over."""
    kept = entry(session, name)
    return None if kept.attempt_id != attempt_id else _with(session, name, replace(kept, lease_until=now + lease))


def refuses_subject(answer: TokenResult) -> bool:
    """Whether an exchange may succeed with a newer subject token."""
    return isinstance(answer, Denied) and answer.error in _OF_SUBJECT and not answer.refuses_client


def apply_answer(
    session: Session,
    name: str,
    attempt_id: str,
    answer: TokenResult,
    now: float,
    *,
    asked_at: float,
    before_expiry: float,
    revocable: bool,
) -> Session | None:
    """The record after the response to the request of that attempt; None if another replica has taken over.

    A reservation that gave way to other content of the record is no obstacle: nothing was consumed.
    """
    if entry(session, name).attempt_id not in (None, attempt_id):
        return None
    match answer:
        case Granted(response):
            tokens = new_tokens(response, session.key, asked_at, now, before_expiry)
            if tokens is not None:
                return keep_token(session, name, tokens, revocable=revocable)
            return keep_failure(session, name, now, refused=NO_TOKEN)
        case Denied(error=error):
            return keep_failure(session, name, now, refused=error)
        case Postponed(retry_after):
            return keep_failure(session, name, now, wait=retry_after)
        case NoAnswer(retry_after=retry_after):
            return keep_failure(session, name, now, wait=retry_after, limit=MAX_UNANSWERED_BACKOFF)
        case _:
            assert_never(answer)


def keep_token(session: Session, name: str, tokens: Tokens, *, revocable: bool = False) -> Session:
    """The record with a new token, whose times are those of `tokens`; one that has no space is a refusal."""
    if len(tokens.access_token) > MAX_TOKEN:
        return keep_failure(session, name, tokens.received_at, refused=TOO_LARGE)
    kept = AudienceToken(
        access_token=tokens.access_token,
        usable_until=tokens.usable_until,
        refresh_at=tokens.refresh_at,
        received_at=tokens.received_at,
        requested_at=tokens.received_at,
        revocable=revocable,
    )
    return _with(session, name, kept)


def keep_failure(
    session: Session,
    name: str,
    now: float,
    *,
    refused: str = "",
    wait: float | None = None,
    limit: float = MAX_BACKOFF,
) -> Session:
    """The record after a request without a token: a valid one is kept, and the next request waits."""
    kept = entry(session, name)
    tries = max(kept.tries, 1)
    limit = MAX_REFUSED_BACKOFF if refused else limit
    pause = max(backoff(tries, session.key, limit), 0.0 if wait is None else wait)
    failed = replace(kept, attempt_id=None, lease_until=0.0, not_before=now + pause, refused=refused)
    return _with(session, name, replace(failed, requested_at=now, tries=tries))


def keep_resource_refusal(session: Session, name: str, now: float, error: str) -> Session:
    """The record after a refresh that was refused with `error`: not repeated in this session if it is final."""
    wait = NEVER_AGAIN if error == INVALID_TARGET else None
    return keep_failure(session, name, now, refused=error, wait=wait)


def revocable_tokens(session: Session, now: float) -> tuple[tuple[str, float], ...]:
    """The tokens that can be revoked as the session's own, each with the time until which it is valid."""
    entries = (entry(session, name) for name in session.audience_tokens or ())
    return tuple(
        (kept.access_token, kept.usable_until)
        for kept in entries
        if kept.access_token is not None and kept.revocable and kept.usable_until > now
    )


def without_oldest(session: Session) -> Session:
    """The record without the entry that was requested longest ago; final refusals come last."""
    kept = dict(session.audience_tokens or {})
    if kept:
        del kept[_oldest(kept, "")]
    return replace(session, audience_tokens=kept or None)


def _with(session: Session, name: str, kept: AudienceToken) -> Session:
    """The next version of the record with this entry, and with those others that there is space for."""
    entries = {**(session.audience_tokens or {}), name: asdict(kept)}
    while len(entries) > 1 and (len(entries) > MOST_ENTRIES or len(json.dumps(entries)) > SPACE):
        del entries[_oldest(entries, name)]
    return replace(session, version=session.version + 1, audience_tokens=entries)


def _oldest(entries: Mapping[str, Any], keep: str) -> str:
    def order(name: str) -> tuple[bool, float]:
        kept = _read(entries[name])
        return kept.not_before >= kept.requested_at + NEVER_AGAIN, kept.requested_at

    return min((name for name in entries if name != keep), key=order)


def _read(stored: Any) -> AudienceToken:
    if not isinstance(stored, Mapping):
        return _EMPTY
    return AudienceToken(**{key: value for key, value in stored.items() if key in _FIELDS})
