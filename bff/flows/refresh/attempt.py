"""One refresh token request: reserve, send, record.

The order is what makes it safe: each write precedes the step that depends on it.
"""

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from bff.errors import ProviderUnavailable, StoreUnavailable
from bff.flows.id_tokens import IdTokenValidator, SameUser, Unverified, WrongUser
from bff.flows.logout.end_session import EndSession
from bff.flows.refresh.provider_limits import TokenRequestLimits
from bff.oidc.error_codes import TOKEN_ENDPOINT
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.session.rotation import (
    Ended,
    Pending,
    RefreshResult,
    Renewed,
    SendRefresh,
    Superseded,
    apply_token_response,
    decide,
)
from bff.session.session import EndReason, Session, SessionKey, User
from bff.session.store import Found, SessionRecords
from bff.session.timing import RefreshPolicy, end_of_session, may_send
from bff.telemetry import audit, metrics, tracing
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

VERIFY_TIMEOUT = 1.0  # seconds to validate an ID token before the write, which does not wait for the provider
MAX_WRITE_PAUSE = 1.0
KEEP_GRANTED_FOR = 900.0  # seconds to keep retrying the write of new tokens while the store is unavailable


@dataclass(frozen=True, slots=True)
class StoreClock:
    """The store's time, advanced by this process's monotonic clock; leases are compared with this clock only.

    `asked_at` is from before the store was queried: a reply that is read late (a slow network, a paused process) makes
    this clock run ahead of the store's. If it ran behind, a lease would look longer than it is.
    """

    now_at_store: float
    asked_at: float
    monotonic: Callable[[], float]

    def now(self) -> float:
        return self.now_at_store + (self.monotonic() - self.asked_at)


class RefreshAttempts:
    def __init__(
        self,
        store: SessionRecords,
        provider: OpenIDProvider,
        id_tokens: IdTokenValidator,
        end_session: EndSession,
        policy: RefreshPolicy,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        new_attempt_id: Callable[[], str] = lambda: secrets.token_urlsafe(12),
    ) -> None:
        self._store, self._provider, self._id_tokens, self._end_session = store, provider, id_tokens, end_session
        self._policy, self._monotonic, self._new_attempt_id = policy, monotonic, new_attempt_id
        self._calls = TokenRequestLimits(monotonic)

    async def attempt(
        self, key: SessionKey, *, rejected_token: str | None, resend: bool, slots: asyncio.Semaphore
    ) -> RefreshResult | None:
        """None when no refresh was needed.

        Raises StoreUnavailable if the reservation cannot be written, and ProviderUnavailable while the provider
        throttles the client; then nothing was reserved or sent.
        """
        with tracing.span("refresh", "internal") as span:
            sent = await self._reserve_and_send(key, rejected_token, resend=resend, slots=slots)
            if sent is None:
                return None
            reserved, clock, answer, seconds = sent
            if isinstance(answer, Postponed) and answer.client_wide:
                self._calls.block(answer.retry_after)
            result = await self._store_outcome(reserved, answer, clock)
            outcome = self._record_outcome(reserved, answer, result, seconds)
            span.set("bff.refresh.outcome", outcome)
            return result

    async def _reserve_and_send(
        self, key: SessionKey, rejected_token: str | None, *, resend: bool, slots: asyncio.Semaphore
    ) -> tuple[Session, StoreClock, TokenResult, float] | None:
        """The reservation, its clock, the response and its duration in seconds."""
        turn = False
        while True:
            # The slot is taken before the reservation is written, so that a lease never runs while its holder queues.
            # It is released before the outcome is written, so that a store outage does not block others.
            async with slots:
                reservation = await self._reserve(key, rejected_token, resend=resend, turn=turn)
                if reservation is None:
                    return None
                if not isinstance(reservation, float):
                    reserved, clock = reservation
                    began = self._monotonic()
                    answer = await self._send(reserved, clock)
                    return reserved, clock, answer, self._monotonic() - began
            # Waits without a slot: a user with many sessions delays only their own.
            await asyncio.sleep(reservation)
            turn = True

    async def _reserve(
        self, key: SessionKey, rejected_token: str | None, *, resend: bool, turn: bool
    ) -> tuple[Session, StoreClock] | float | None:
        """The reserved record, None when no refresh is needed, or the seconds until this user's turn."""
        while True:
            stored = await self._store.get(key)
            if not isinstance(stored, Found):
                return None
            decision = decide(
                stored.session,
                stored.now,
                self._policy,
                self._new_attempt_id(),
                last_seen_at=stored.last_seen_at,
                rejected_token=rejected_token,
                resend=resend,
            )
            if not isinstance(decision, SendRefresh):
                return None
            if (wait := self._throttle_delay(decision.reserved, turn=turn)) > 0:
                return wait
            turn = True
            # Write before send: the attempt is durable before the request leaves, so a crash cannot lose it.
            asked_at = self._monotonic()
            replaced = await self._store.replace(decision.reserved, stored.session.version)
            if replaced.done:
                return decision.reserved, StoreClock(replaced.now, asked_at, self._monotonic)
            metrics.STORE_CONFLICTS.inc()

    def _throttle_delay(self, reserved: Session, *, turn: bool) -> float:
        """The wait that the provider's limits require, in seconds.

        Raises ProviderUnavailable while it throttles the client.
        """
        attempt = reserved.attempt
        if attempt is not None and attempt.previous_first_sent_at is not None:
            return 0.0  # a resend after a lost response ignores the limits: the grace period is running
        if (left := self._calls.blocked_for()) > 0:
            raise ProviderUnavailable(retry_after=math.ceil(left))
        return 0.0 if turn else self._calls.reserve_turn(reserved.user.sub)

    async def _send(self, reserved: Session, clock: StoreClock) -> TokenResult:
        attempt, refresh_token = reserved.attempt, reserved.tokens.refresh_token
        if attempt is None or refresh_token is None:
            raise ValueError("a reservation has an attempt and a refresh token")

        def covered() -> bool:
            return may_send(attempt, clock.now(), self._policy)

        if not covered():
            return NoAnswer(may_have_been_sent=False, why="writing the reservation took too long")
        try:
            return await self._provider.refresh(
                refresh_token,
                timeout=self._policy.timeout,
                may_send=covered,
                dpop_key=reserved.dpop_key,
            )
        except Exception as error:  # the port must return a value; an unexpected error must not lose the attempt
            logger.exception("the provider client raised an exception", extra={"error": type(error).__name__})
            return NoAnswer(may_have_been_sent=True, why=type(error).__name__)

    async def _store_outcome(self, reserved: Session, answer: TokenResult, clock: StoreClock) -> RefreshResult:
        """Writes the outcome to the current record. No caller gets a token before it is durable."""
        verdict = await self._validate_id_token(reserved, answer, clock.now())
        # A rotated token exists only in this process. Unwritten, the session is lost after the grace period, so the
        # write is retried however long the store is unavailable; any other outcome can be determined again.
        keep_trying_until = clock.now() + (KEEP_GRANTED_FOR if isinstance(answer, Granted) else self._policy.lease)
        pause = 0.05
        while True:
            try:
                result = await self._write(reserved, answer, verdict)
                if result is not None:
                    return result
                metrics.STORE_CONFLICTS.inc()
            except StoreUnavailable as error:
                # A permanent store error: the record is too large.
                if clock.now() >= keep_trying_until or error.code != StoreUnavailable.code:
                    logger.error("a refresh outcome could not be stored", extra={"session": reserved.fingerprint})
                    raise
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_WRITE_PAUSE)

    async def _write(
        self, reserved: Session, answer: TokenResult, verdict: "SameUser | WrongUser | Unverified"
    ) -> RefreshResult | None:
        """One read, one decision, one conditional write; None when the record changed in between."""
        key = reserved.key
        stored = await self._store.get(key)
        if not isinstance(stored, Found):
            # A deleted session is never recreated; tokens that arrive for it are revoked.
            self._revoke(answer)
            return Superseded()
        session = stored.session
        lost = session.attempt is None or session.version < reserved.version
        if lost and session.rotation == reserved.rotation:
            # A store failover lost our reservation and no other replica took over: the response still applies.
            session = replace(session, attempt=reserved.attempt)
        result = apply_token_response(session, reserved, answer, stored.now, self._policy)
        if isinstance(result, Renewed):
            if isinstance(verdict, WrongUser):
                result = Ended(EndReason.SUBJECT_CHANGED)
            else:
                result = Renewed(_with_user(result.session, session, verdict, self._policy.max_session_lifetime))
        match result:
            case Renewed(written) | Pending(written) | Superseded(Session() as written):
                return result if (await self._store.replace(written, session.version)).done else None
            case Superseded():
                return result
            case Ended(reason):
                if await self._end_session.end(key, reason, expected_version=session.version) is None:
                    return None
                self._revoke(answer)
                return result
            case _:
                assert_never(result)

    async def _validate_id_token(
        self, reserved: Session, answer: TokenResult, now: float
    ) -> "SameUser | WrongUser | Unverified":
        if not isinstance(answer, Granted) or answer.tokens.id_token is None:
            return Unverified()
        try:
            async with asyncio.timeout(VERIFY_TIMEOUT):
                return await self._id_tokens.at_refresh(answer.tokens.id_token, reserved, now=now)
        except TimeoutError:
            return Unverified()

    def _revoke(self, answer: TokenResult) -> None:
        if isinstance(answer, Granted):
            metrics.REFRESH.labels(outcome="revoked_orphan", reason="").inc()
            self._end_session.revocations.discarded(answer.tokens)

    def _record_outcome(self, reserved: Session, answer: TokenResult, result: RefreshResult, seconds: float) -> str:
        attempt = reserved.attempt
        outcome, reason = _outcome(reserved, answer, result)
        metrics.REFRESH.labels(outcome=outcome, reason=reason).inc()
        metrics.REFRESH_SECONDS.observe(seconds)
        facts = {
            "tries": attempt.tries if attempt else 0,
            "after_grace": attempt.after_grace if attempt else False,
            "rotation": reserved.rotation,
            "duration_ms": round(seconds * 1000),
        }
        if outcome == "denied":
            audit.record(AuditEvent.REFRESH_DENIED, reason, session=reserved, **facts)
            return outcome
        level = logging.INFO if isinstance(result, Renewed) else logging.WARNING
        fields = {"session": reserved.fingerprint, "outcome": outcome, "reason": reason, **facts}
        logger.log(level, "refresh", extra=fields)
        return outcome


def _with_user(renewed: Session, before: Session, verdict: SameUser | Unverified, max_lifetime: float) -> Session:
    """Claims change in the same write as the tokens. An ID token that failed validation replaces nothing."""
    if isinstance(verdict, SameUser):
        user = User(before.user.sub, verdict.email or before.user.email, {**before.user.claims, **verdict.claims})
        if verdict.session_expiry is None:
            return replace(renewed, user=user)
        ends_at = end_of_session(before.signed_in_at, max_lifetime, verdict.session_expiry)
        return replace(renewed, user=user, ends_at=ends_at)
    return replace(renewed, tokens=replace(renewed.tokens, id_token=before.tokens.id_token))


def _outcome(reserved: Session, answer: TokenResult, result: RefreshResult) -> tuple[str, str]:
    """The labels of `bff_refresh_total`; the reason comes from a closed list or is empty."""
    attempt = reserved.attempt
    match result, answer:
        case Renewed(), _ if attempt is not None and attempt.after_grace:
            return "after_grace", ""
        case Renewed(), _ if attempt is not None and attempt.previous_first_sent_at is not None:
            return "replayed_in_grace", ""
        case Renewed(), _:
            return "renewed", ""
        case Ended(reason), _:
            return "ended", reason.value
        case Superseded(), _:
            return "superseded", ""
        case _, Denied(_, error):
            return "denied", error if error in TOKEN_ENDPOINT else "other"
        case _, Postponed():
            return "postponed", ""
        case _, NoAnswer(may_have_been_sent):
            return "no_answer", "unknown" if may_have_been_sent else "not_sent"
        case _:
            return "no_answer", "no_access_token"
