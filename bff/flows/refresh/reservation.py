"""Reserves a refresh: writes the attempt to the record before its token is sent."""

import math
import secrets
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from bff.errors import ProviderUnavailable
from bff.flows.refresh.provider_limits import TokenRequestLimits
from bff.flows.refresh.timing import RefreshTiming, StoreClock
from bff.oidc.token import NoAnswer, TokenResult
from bff.session.rotation import ResourceCause, SendRefresh, decide, reserve
from bff.session.session import Session, SessionKey
from bff.session.store import Found, SessionRecords
from bff.telemetry import metrics

RETRY_SPREAD = 3  # seconds over which the sessions come back that waited for an unavailable provider


@dataclass(frozen=True, slots=True)
class RefreshCause:
    """Why a refresh is attempted although the record alone may not say so.

    `rejected_token`: the fingerprint of an access token that an upstream answered with 401. `resend_of`: the id of this
    holder's own attempt, which failed quickly. `wanted`: a resource that a token is needed for (RFC 8707).
    """

    rejected_token: str | None = None
    resend_of: str | None = None
    wanted: ResourceCause | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """The record as written, and the store's clock, by which its lease runs."""

    session: Session
    clock: StoreClock


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing was written: the session needs no refresh, has none to wait for, or is gone."""


@dataclass(frozen=True, slots=True)
class AwaitTurn:
    """Nothing was written: the provider limits requests per user, and this one's turn comes in `seconds`."""

    seconds: float


Reservation: TypeAlias = Reserved | NotDue | AwaitTurn


class Reservations:
    def __init__(
        self,
        store: SessionRecords,
        timing: RefreshTiming,
        *,
        new_attempt_id: Callable[[], str] = lambda: secrets.token_urlsafe(12),
    ) -> None:
        self._store, self._policy, self._monotonic = store, timing.policy, timing.monotonic
        self._new_attempt_id = new_attempt_id
        self._limits = TokenRequestLimits(timing.monotonic, window=timing.timeouts.per_user)

    async def reserve(self, key: SessionKey, cause: RefreshCause, *, turn: bool) -> Reservation:
        """`turn`: this user's turn under the provider's limits has come.

        Raises StoreUnavailable, then whether the reservation was written is unknown, and ProviderUnavailable while the
        provider throttles the client or is unavailable.
        """
        while True:
            stored = await self._store.get(key)
            if not isinstance(stored, Found):
                return NotDue()
            decision = decide(
                stored.session,
                stored.now,
                self._policy,
                last_seen_at=stored.last_seen_at,
                rejected_token=cause.rejected_token,
                resend_of=cause.resend_of,
                wanted=cause.wanted,
            )
            if not isinstance(decision, SendRefresh):
                return NotDue()
            reserved = reserve(stored.session, decision, stored.now, self._policy, self._new_attempt_id())
            if (wait := self._throttle_delay(reserved, turn=turn)) > 0:
                return AwaitTurn(wait)
            turn = True
            # Write before send: the attempt is durable before the request leaves, so a crash cannot lose it.
            asked_at = self._monotonic()
            replaced = await self._store.replace(reserved, stored.session.version)
            if replaced.done:
                return Reserved(reserved, StoreClock(replaced.now, asked_at, self._monotonic))
            metrics.STORE_CONFLICTS.inc()

    def block(self, seconds: float | None) -> None:
        """The provider throttles the client: reserves nothing for that long."""
        self._limits.block(seconds)

    def answered(self, answer: TokenResult) -> None:
        """Records whether the provider responded to a token request: while it does not, few are reserved."""
        if isinstance(answer, NoAnswer):
            self._limits.unanswered()
        else:
            self._limits.answered()

    def _throttle_delay(self, reserved: Session, *, turn: bool) -> float:
        """The wait that the provider's limits require, in seconds.

        Raises ProviderUnavailable while it throttles the client, or does not answer and another session probes.
        """
        attempt = reserved.attempt
        if attempt is not None and attempt.previous_first_sent_at is not None and not attempt.after_grace:
            return 0.0  # a resend after a lost response ignores the limits: the grace period is running
        if (left := self._limits.blocked_for()) > 0:
            raise ProviderUnavailable(retry_after=math.ceil(left))
        if turn:
            return 0.0
        if (left := self._limits.reserve_probe()) > 0:
            # Spread: once the provider answers, the sessions that had to wait do not come back in the same second.
            raise ProviderUnavailable(retry_after=math.ceil(left) + zlib.crc32(reserved.key.encode()) % RETRY_SPREAD)
        return self._limits.reserve_turn(reserved.user.sub)
