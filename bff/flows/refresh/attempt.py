"""One refresh token request: reserve, send, record.

The order is what makes it safe: each write precedes the step that depends on it.
"""

import asyncio
import logging
from dataclasses import dataclass

from bff.flows.refresh.outcome import RefreshOutcomes
from bff.flows.refresh.reservation import NotDue, RefreshCause, Reservations, Reserved
from bff.flows.refresh.slots import RefreshSlots
from bff.flows.refresh.timing import RefreshTiming
from bff.oidc.error_codes import TOKEN_ENDPOINT
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResult
from bff.session.audience_tokens import entry, resource_name
from bff.session.session import Session, SessionKey
from bff.session.timing import may_send
from bff.session.token_response import Ended, Pending, RefreshResult, Renewed, Superseded
from bff.telemetry import audit, metrics, tracing
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sent:
    reserved: Reserved
    answer: TokenResult
    seconds: float  # that the request took


class RefreshAttempts:
    """`concurrency` is how many token requests this process sends at a time, at most."""

    def __init__(
        self,
        reservations: Reservations,
        provider: OpenIDProvider,
        outcomes: RefreshOutcomes,
        timing: RefreshTiming,
        *,
        concurrency: int,
    ) -> None:
        self._reservations, self._provider, self._outcomes = reservations, provider, outcomes
        self._policy, self._monotonic = timing.policy, timing.monotonic
        self.slots = RefreshSlots(concurrency, timing.monotonic)

    async def attempt(self, key: SessionKey, cause: RefreshCause) -> RefreshResult | NotDue:
        """Raises StoreUnavailable if the reservation cannot be written, and ProviderUnavailable while the provider
        throttles the client or is unavailable; then nothing was reserved or sent.
        """
        with tracing.span("refresh", "internal") as span:
            sent = await self._reserve_and_send(key, cause)
            if isinstance(sent, NotDue):
                return sent
            match sent.answer:
                case Postponed(retry_after, client_wide=True):
                    self._reservations.block(retry_after)
                    self.slots.overloaded()
                case NoAnswer():
                    self.slots.overloaded()
                case _:
                    self.slots.answered()
            result = await self._outcomes.store(sent.reserved, sent.answer)
            outcome = _record_outcome(sent, result)
            span.set("bff.refresh.outcome", outcome)
            return result

    async def _reserve_and_send(self, key: SessionKey, cause: RefreshCause) -> _Sent | NotDue:
        turn = False
        while True:
            # The slot is taken before the reservation is written, so that a lease never runs while its holder queues.
            # It is released before the outcome is written, so that a store outage does not block others.
            async with self.slots.hold(key):
                reservation = await self._reservations.reserve(key, cause, turn=turn)
                if isinstance(reservation, NotDue):
                    return reservation
                if isinstance(reservation, Reserved):
                    began = self._monotonic()
                    answer = await self._send(reservation)
                    return _Sent(reservation, answer, self._monotonic() - began)
            # Waits without a slot: a user with many sessions delays only their own.
            await asyncio.sleep(reservation.seconds)
            turn = True

    async def _send(self, reserved: Reserved) -> TokenResult:
        session, clock = reserved.session, reserved.clock
        attempt, refresh_token = session.attempt, session.tokens.refresh_token
        if attempt is None or refresh_token is None:
            raise ValueError("a reservation has an attempt and a refresh token")

        def covered() -> bool:
            return may_send(attempt, clock.now(), self._policy)

        if not covered():
            return NoAnswer(may_have_been_sent=False, why="writing the reservation took too long")
        try:
            answer = await self._provider.refresh(
                refresh_token,
                timeout=self._policy.timeout,
                may_send=covered,
                dpop_key=session.dpop_key,
                resource=attempt.resource,
            )
            self._reservations.answered(answer)
            return answer
        except Exception as error:  # the port must return a value; an unexpected error must not lose the attempt
            logger.exception("the provider client raised an exception", extra={"error": type(error).__name__})
            return NoAnswer(may_have_been_sent=True, why=type(error).__name__)


def _record_outcome(sent: _Sent, result: RefreshResult) -> str:
    reserved = sent.reserved.session
    attempt = reserved.attempt
    outcome, reason = _outcome(reserved, sent.answer, result)
    metrics.REFRESH.labels(outcome=outcome, reason=reason).inc()
    metrics.REFRESH_SECONDS.observe(sent.seconds)
    if attempt is not None and attempt.resource is not None:
        _record_resource(attempt.resource, reserved.fingerprint, sent.answer, result)
    facts = {
        "tries": attempt.tries if attempt else 0,
        "after_grace": attempt.after_grace if attempt else False,
        "rotation": reserved.rotation,
        "duration_ms": round(sent.seconds * 1000),
    }
    if outcome == "denied":
        audit.record(AuditEvent.REFRESH_DENIED, reason, session=reserved, **facts)
        return outcome
    level = logging.INFO if isinstance(result, Renewed) else logging.WARNING
    fields = {"session": reserved.fingerprint, "outcome": outcome, "reason": reason, **facts}
    logger.log(level, "refresh", extra=fields)
    return outcome


def _record_resource(resource: str, session: str, answer: TokenResult, result: RefreshResult) -> None:
    """Counts and logs the token of a resource as those of other audiences are."""
    kept = entry(result.session, resource_name(resource)) if isinstance(result, Renewed | Pending) else None
    refused = "" if kept is None else kept.refused
    granted = isinstance(answer, Granted) and not refused
    outcome = "granted" if granted else "refused" if isinstance(answer, Denied | Granted) else "unavailable"
    metrics.API_TOKENS.labels(kind="resource", outcome=outcome).inc()
    if outcome == "granted":
        return
    fields = {"kind": "resource", "audience": resource, "outcome": outcome, "session": session}
    if isinstance(answer, Denied):
        fields |= {"reason": answer.error, "status": str(answer.status), "description": answer.description}
    else:
        fields["reason"] = refused or getattr(answer, "why", "") or "rate limit"
    logger.warning("no access token for an API", extra=fields)


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
