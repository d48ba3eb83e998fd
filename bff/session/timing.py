"""Refresh timing: policy, limits, token lifetimes, grace period and back-off. Pure; times are in seconds."""

import hashlib
from collections.abc import Collection
from typing import Protocol

from bff.oidc.token import TokenResponse
from bff.session.session import EndReason, RefreshAttempt, SessionKey, Tokens
from bff.session.session_view import SessionView

# An upstream's 401 triggers a refresh only for a token of at least this age: a newer one was rejected for another
# reason.
REFUSED_TOKEN_AGE = 30.0
# After a quick failure (reset, 5xx) the request is resent at once if this much of the grace period is left, at most
# this often.
RESEND_MARGIN = 2.0
RESEND_TRIES = 3
# A refusal that is not final must occur again this much later before it can end a session: a policy change, or a fault
# of the provider, must not sign users out.
CONFIRM_REFUSAL_AFTER = 60.0
MAX_BACKOFF = 30.0
# The ceiling where the provider did not answer: that it does again must be noticed soon. The requests of a process for
# all its sessions are limited in bff/flows/refresh/provider_limits.py.
MAX_UNANSWERED_BACKOFF = 3.0
MIN_BACKOFF = 0.75  # seconds between two sends: the initial back-off
SPREAD = 15  # times the lead by which a refresh may be due earlier, though not before three quarters of the lifetime
DEFAULT_LIFETIME = 300.0  # expires_in is only RECOMMENDED (RFC 6749 section 5.1)
MAX_LIFETIME = 365 * 86400.0


class RefreshPolicy(Protocol):
    """The durations that decisions depend on, in seconds. The settings implement it."""

    @property
    def before_expiry(self) -> float:
        """How long before its expiry an access token is refreshed."""

    @property
    def timeout(self) -> float:
        """How long the provider may take to respond; shorter than `lease`."""

    @property
    def lease(self) -> float:
        """How long an attempt is reserved for one replica."""

    @property
    def grace(self) -> float:
        """The provider's grace period for a token that was sent; any of Okta's 0 to 60."""

    @property
    def after_grace(self) -> bool:
        """Whether a token whose grace period is over may be sent once more."""

    @property
    def final_errors(self) -> Collection[str]:
        """The error codes of the token endpoint that say that a refresh token is invalid."""

    @property
    def confirm_refusal_after(self) -> float:
        """How long after the first refusal that is not final another one may end the session."""

    @property
    def idle_timeout(self) -> float:
        """How long a session lasts without activity."""

    @property
    def max_session_lifetime(self) -> float:
        """How long a session lasts from sign-in at most."""


def end_of_session(signed_in_at: float, max_session_lifetime: float, session_expiry: float | None) -> float:
    """When a session ends at the latest: by our own limit, or by the provider's (`session_expiry`)."""
    ends_at = signed_in_at + max_session_lifetime
    return ends_at if session_expiry is None else min(ends_at, session_expiry)


def limit_reached(session: SessionView, now: float, policy: RefreshPolicy, last_seen_at: float) -> EndReason | None:
    if now >= session.ends_at:
        return EndReason.ABSOLUTE_TIMEOUT
    if now >= last_seen_at + policy.idle_timeout:
        return EndReason.IDLE_TIMEOUT
    return None


def inside_grace(attempt: RefreshAttempt, now: float, policy: RefreshPolicy, *, resend: bool = False) -> bool:
    """Whether the attempt's token may be sent (again) without counting as reuse at the provider."""
    if attempt.first_sent_at is None:
        return True
    if resend:
        return now + RESEND_MARGIN < attempt.first_sent_at + policy.grace
    return now <= attempt.first_sent_at + policy.grace - policy.timeout


def resend_deadline(first_sent_at: float, policy: RefreshPolicy) -> float:
    """The last time at which the token may be sent inside the grace period, with a margin for the reservation."""
    return first_sent_at + policy.grace - policy.timeout - RESEND_MARGIN


def may_send(attempt: RefreshAttempt, now: float, policy: RefreshPolicy) -> bool:
    """Whether a response would still arrive within the lease.

    Checked after the reservation is durable, and again before sending. Strictly less: at equality two holders could
    send.
    """
    if now + policy.timeout >= attempt.lease_until:
        return False
    if attempt.after_grace or attempt.previous_first_sent_at is None:
        return True
    # The grace period is checked again by the rule of the reservation: a slow write must not turn a resend into reuse.
    resend = not inside_grace(attempt, attempt.lease_until - policy.lease, policy)
    return inside_grace(attempt, now, policy, resend=resend)


def new_tokens(
    response: TokenResponse, key: SessionKey, asked_at: float, now: float, before_expiry: float
) -> Tokens | None:
    """Tokens as granted, or None if the access token is missing or already expired.

    The lifetime is counted from `asked_at`: the provider cannot have issued the token earlier, so an expired one is
    never considered valid. Ten per cent of it, at most 5 s, is reserved for the way to the upstream.
    """
    lifetime = DEFAULT_LIFETIME if response.expires_in is None else min(float(response.expires_in), MAX_LIFETIME)
    if response.access_token is None or lifetime <= 0:
        return None
    expires_at = asked_at + lifetime
    lead = min(before_expiry, lifetime / 4)
    # Sessions whose tokens were issued together (after an outage, or at nine o'clock) are due at different times.
    spread = lead / 4 + min(SPREAD * lead, lifetime / 4 - lead)
    return Tokens(
        access_token=response.access_token,
        usable_until=expires_at - min(5.0, lifetime / 10),
        refresh_at=expires_at - lead * 3 / 4 - spread * _jitter(key, "refresh_at"),
        received_at=now,
        refresh_token=response.refresh_token or None,
        id_token=response.id_token,
        scope=response.scope or "",
    )


def token_fingerprint(access_token: str) -> str:
    """Identifies an access token in a record or between packages without containing it."""
    return hashlib.sha256(b"access-token:" + access_token.encode()).hexdigest()[:16]


def backoff(tries: int, key: SessionKey, limit: float = MAX_BACKOFF) -> float:
    """1, 2, 4 ... `limit` s, with up to 25 % jitter so that a thousand sessions do not retry at the same instant."""
    return min(limit, 2.0 ** min(tries - 1, 10)) * (0.75 + _jitter(key, str(tries)) / 4)


def _jitter(key: SessionKey, purpose: str) -> float:
    """A fraction in [0, 1), constant for this session and purpose."""
    digest = hashlib.sha256(f"{purpose}:{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
