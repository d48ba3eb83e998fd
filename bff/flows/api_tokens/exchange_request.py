"""One token exchange (RFC 8693): reserve, send, record."""

import asyncio
import logging
import secrets
from dataclasses import dataclass, replace
from typing import Final

from bff.config.api_tokens import ExchangeToken
from bff.errors import ProviderUnavailable, SignInRequired, StepUpRequired, StoreUnavailable
from bff.flows.api_tokens.api_access import TokenIssuers, record_answer
from bff.flows.api_tokens.exchange_limits import ExchangeLimits
from bff.flows.logout.revocations import Revocations
from bff.flows.refresh.flow import RefreshTokenFlow
from bff.flows.refresh.timing import RefreshTiming, StoreClock
from bff.oidc.token import Granted, NoAnswer, TokenResponse, TokenResult
from bff.session.audience_tokens import (
    RequestToken,
    UseToken,
    apply_answer,
    decide_token,
    entry,
    extend_lease,
    refuses_subject,
    reserve_token,
)
from bff.session.session import EndReason, Session, SessionKey
from bff.session.store import Found, SessionStore
from bff.session.timing import token_fingerprint
from bff.telemetry import metrics, tracing

logger = logging.getLogger(__name__)

WRITE_PAUSE: Final = 0.1  # seconds between two attempts to write an outcome while the store fails


@dataclass(frozen=True, slots=True)
class _Reserved:
    """The record as written, the store's clock, and the attempt with its lease (by that clock)."""

    session: Session
    clock: StoreClock
    attempt_id: str
    lease_until: float
    first: bool  # the last request was not refused


class ExchangeRequests:
    """Exchanges the access token of a session. A lost response has consumed nothing, so nothing is resent here."""

    def __init__(
        self,
        store: SessionStore,
        issuers: TokenIssuers,
        refresh: RefreshTokenFlow,
        revocations: Revocations,
        timing: RefreshTiming,
    ) -> None:
        self._store, self._issuers, self._refresh, self._revocations = store, issuers, refresh, revocations
        self._policy, self._monotonic = timing.policy, timing.monotonic
        self._limits = ExchangeLimits(timing.monotonic)

    async def request(self, key: SessionKey, token: ExchangeToken, rejected: str | None) -> None:
        """Requests a token if one is due, and writes the outcome to the record.

        Raises StoreUnavailable, and ProviderUnavailable while the authorization server throttles the client.
        """
        server = self._issuers.name(token)
        with tracing.span("token exchange", "internal") as span:
            # The slot is taken before the reservation, so that no lease runs while its holder queues.
            async with self._limits.slot(server):
                reserved = await self._reserve(key, token, rejected)
                if reserved is None:
                    return
                began = reserved.clock.now()
                answer = await self._send(token, reserved, reserved.session)
                if refuses_subject(answer) and reserved.first and (renewed := await self._renewed(token, reserved)):
                    reserved, began = renewed, renewed.clock.now()
                    answer = await self._send(token, reserved, reserved.session)
                self._limits.answered(server, answer)
            record_answer(token, answer, reserved.session.fingerprint)
            span.set("bff.outcome", type(answer).__name__.lower())
            await self._write(token, reserved, answer, began)

    async def _reserve(self, key: SessionKey, token: ExchangeToken, rejected: str | None) -> _Reserved | None:
        while True:
            asked_at = self._monotonic()
            stored = await self._store.get(key)
            if not isinstance(stored, Found) or stored.now >= stored.session.tokens.usable_until:
                return None  # the caller reads the record again
            session = stored.session
            decision = decide_token(session, token.name, stored.now, rejected=rejected)
            if not isinstance(decision, RequestToken) and not (isinstance(decision, UseToken) and decision.due):
                return None
            attempt_id, lease = secrets.token_urlsafe(12), self._policy.lease
            reserved = reserve_token(
                session, token.name, stored.now, lease=lease, attempt_id=attempt_id, rejected=rejected
            )
            replaced = await self._store.replace(reserved, session.version)
            if replaced.done:
                clock = StoreClock(replaced.now, asked_at, self._monotonic)
                first = not entry(session, token.name).refused
                return _Reserved(reserved, clock, attempt_id, stored.now + lease, first)
            metrics.STORE_CONFLICTS.inc()

    async def _send(self, token: ExchangeToken, reserved: _Reserved, session: Session) -> TokenResult:
        def covered() -> bool:
            return reserved.clock.now() + self._policy.timeout < reserved.lease_until

        try:
            return await self._issuers.of(token).exchange_token(
                session.tokens.access_token,
                audience=token.audience,
                scope=token.scope,
                timeout=self._policy.timeout,
                may_send=covered,
                dpop_key=session.dpop_key,
            )
        except Exception as error:  # the port must return a value
            logger.exception("the provider client raised an exception", extra={"error": type(error).__name__})
            return NoAnswer(may_have_been_sent=True, why=type(error).__name__)

    async def _renewed(self, token: ExchangeToken, reserved: _Reserved) -> _Reserved | None:
        """With a newer access token of the session and a lease that begins again; None if there is neither."""
        sent = reserved.session.tokens.access_token
        try:
            session = await self._refresh.session_with_fresh_token(
                reserved.session.key, rejected_token=token_fingerprint(sent), passive=True
            )
            if session.tokens.access_token == sent:
                return None
            while True:
                asked_at = self._monotonic()
                stored = await self._store.get(session.key)
                if not isinstance(stored, Found):
                    return None
                lease = self._policy.lease
                extended = extend_lease(stored.session, token.name, reserved.attempt_id, stored.now, lease)
                if extended is None:
                    return None
                replaced = await self._store.replace(extended, stored.session.version)
                if replaced.done:
                    clock = StoreClock(replaced.now, asked_at, self._monotonic)
                    return _Reserved(extended, clock, reserved.attempt_id, stored.now + lease, first=False)
                metrics.STORE_CONFLICTS.inc()
        except (ProviderUnavailable, StoreUnavailable, SignInRequired, StepUpRequired):
            return None

    async def _write(self, token: ExchangeToken, reserved: _Reserved, answer: TokenResult, began: float) -> None:
        """A token that cannot be written until the lease ends is requested again."""
        while True:
            try:
                if await self._written(token, reserved, answer, began):
                    return
                metrics.STORE_CONFLICTS.inc()
            except StoreUnavailable:
                if reserved.clock.now() >= reserved.lease_until:
                    raise
                await asyncio.sleep(WRITE_PAUSE)

    async def _discard(self, tokens: TokenResponse, session: Session) -> None:
        """Of a session that has ended. Where it was replaced, revoking one token may end the grant of its successor."""
        if await self._store.get_end_reason(session.key) != EndReason.REPLACED:
            self._revocations.discarded(replace(tokens, refresh_token=None), session.fingerprint)

    async def _written(self, token: ExchangeToken, reserved: _Reserved, answer: TokenResult, began: float) -> bool:
        stored = await self._store.get(reserved.session.key)
        if not isinstance(stored, Found):
            if isinstance(answer, Granted) and self._issuers.is_own(token):
                await self._discard(answer.tokens, reserved.session)
            return True
        written = apply_answer(
            stored.session,
            token.name,
            reserved.attempt_id,
            answer,
            stored.now,
            asked_at=began,
            before_expiry=self._policy.before_expiry,
            revocable=self._issuers.is_own(token),
        )
        if written is None:
            return True
        if (dropped := len(stored.session.audience_tokens or {}) - len(written.audience_tokens or {})) > 0:
            metrics.API_TOKENS_DROPPED.inc(dropped)
        return (await self._store.replace(written, stored.session.version)).done
