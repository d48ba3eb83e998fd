"""Receives Security Event Tokens: validates each with the transmitter's keys, acts on its events, and then counts it as
used.

In this order a failure in between is repaired by the next delivery, which the transmitter repeats until it is
acknowledged; an event that was acted on already changes nothing the second time.
"""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final, assert_never

from bff.config.settings import Settings
from bff.flows.security_events.actions import SecurityEventActions
from bff.oidc.jwks import KeySet
from bff.oidc.security_event_token import (
    SecurityEventAudienceRefused,
    SecurityEventKeyUnknown,
    SecurityEventToken,
    validate_security_event_token,
    validate_security_event_token_form,
)
from bff.oidc.security_events import (
    STREAM_UPDATED,
    VERIFICATION,
    AnyEvent,
    SecurityEvent,
    StreamUpdated,
    Verification,
    action_for,
)
from bff.oidc.transmitter import SecurityEventTransmitter
from bff.session.store import SessionStore
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

MIN_USED_LIFETIME: Final = 86_400.0  # seconds that the jti of a used token is kept at least
VERIFIED_KEPT: Final = 3600.0  # seconds that the state of a verification is kept
MAX_LOGGED: Final = 200  # characters of an audience


class SecurityEventReceiver:
    """`clock` is the wall clock, in seconds since the epoch."""

    def __init__(
        self,
        store: SessionStore,
        transmitter: SecurityEventTransmitter,
        actions: SecurityEventActions,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store, self._transmitter, self._actions, self._clock = store, transmitter, actions, clock
        self._settings, self._provider = settings.security_events, settings.provider
        self._unit = self._settings.unit(self._provider)
        # Until a session that began before an event is over, the token of the event must not count again.
        self._used_lifetime = max(MIN_USED_LIFETIME, float(settings.session.max_lifetime))

    async def receive(self, compact: str, audiences: Collection[str]) -> None:
        """Acts on a token. When this returns, its effects are durable, and the transmitter may forget it.

        Raises SecurityEventRefused, ProviderUnavailable (no keys) and StoreUnavailable.
        """
        token = await self._validate(compact, audiences)
        used = f"security event {self._transmitter.issuer}\n{token.jti}"
        if await self._store.get_marker(used) is not None:
            metrics.SECURITY_EVENTS.labels(event="", outcome="duplicate").inc()
            return
        metrics.SECURITY_EVENT_DELAY.observe(max(0.0, self._clock() - token.iat))
        for event in token.events:
            await self._act(event, token.jti)
        now = await self._store.now()
        await self._store.put_marker(used, now, now + self._used_lifetime)

    async def _validate(self, compact: str, audiences: Collection[str]) -> SecurityEventToken:
        algorithms = self._provider.id_token_algorithms
        validate_security_event_token_form(compact, algorithms)

        def validate(keys: KeySet) -> SecurityEventToken:
            return validate_security_event_token(
                compact,
                keys,
                issuer=self._transmitter.issuer,
                audiences=audiences,
                algorithms=algorithms,
                event_timestamps=self._unit,
            )

        try:
            try:
                return validate(await self._transmitter.keys())
            except SecurityEventKeyUnknown as unknown:
                return validate(await self._transmitter.keys(unknown.kid))
        except SecurityEventAudienceRefused as refused:
            # The transmitter signed it, so this is a setting to fix, and its value may be logged.
            named = " ".join(refused.audiences)[:MAX_LOGGED]
            logger.warning("a security event is for another audience", extra={"audiences": named})
            raise

    async def _act(self, event: AnyEvent, jti: str) -> None:
        match event:
            case Verification(state):
                await self._verified(state)
            case StreamUpdated(status):
                metrics.SECURITY_EVENTS.labels(event=STREAM_UPDATED, outcome=status or "unknown").inc()
                level = logging.INFO if status == "enabled" else logging.ERROR
                logger.log(level, "the stream of security events has another status", extra={"status": status})
            case SecurityEvent(name):
                action = action_for(event, self._settings.actions)
                understood = await self._understood(event)
                with audit.caused_by(name):
                    outcome, sessions = await self._actions.carry_out(understood, action)
                metrics.SECURITY_EVENTS.labels(event=name, outcome=outcome).inc()
                audit.record(
                    AuditEvent.SECURITY_EVENT_ACCEPTED, name, action=action, outcome=outcome, sessions=sessions, jti=jti
                )
            case _:
                assert_never(event)

    async def _understood(self, event: SecurityEvent) -> SecurityEvent:
        """Without its subject if that has a member which we do not match and the transmitter declares critical."""
        others = frozenset[str]() if event.subject is None else event.subject.others
        if not others or others.isdisjoint(await self._transmitter.critical_members()):
            return event
        return replace(event, subject=None)

    async def _verified(self, state: str | None) -> None:
        """The state is left for `bff doctor`, which asked the transmitter to send it here."""
        metrics.SECURITY_EVENTS.labels(event=VERIFICATION, outcome="recorded").inc()
        logger.info("the stream of security events was verified")
        if state is not None:
            now = await self._store.now()
            await self._store.put_marker(verification_marker(state), now, now + VERIFIED_KEPT)


def verification_marker(state: str) -> str:
    """The name of the marker that says that this verification arrived."""
    return f"security event verification {state}"
