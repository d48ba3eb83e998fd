"""Poll delivery (RFC 8936): asks the transmitter for tokens, and acknowledges those that are durable.

Every replica runs this task, and one of them polls in each interval: the first that claims it in the store. There is no
leader to fail over from, and no replica has to know the others.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from bff.errors import ProviderUnavailable, StoreUnavailable
from bff.flows.security_events.receiver import SecurityEventReceiver
from bff.oidc.security_event_token import SecurityEventRefused
from bff.oidc.transmitter import PollRequest, PollResponse, SecurityEventTransmitter
from bff.session.store import SessionStore
from bff.telemetry import audit, metrics
from bff.telemetry.audit import AuditEvent

logger = logging.getLogger(__name__)

MAX_PAUSE: Final = 30.0  # seconds between two polls while the transmitter does not answer
ROUNDS: Final = 1000  # polls of one turn, a hundred tokens each; the next turn continues


class PollDelivery:
    def __init__(
        self,
        store: SessionStore,
        transmitter: SecurityEventTransmitter,
        receiver: SecurityEventReceiver,
        *,
        interval: float,
        audiences: tuple[str, ...] = (),
    ) -> None:
        """`interval` is in seconds. Without `audiences`, those of the stream's configuration are accepted."""
        self._store, self._transmitter, self._receiver = store, transmitter, receiver
        self._interval, self._audiences = interval, audiences
        self._failures = 0

    async def run(self) -> None:
        """Polls until cancelled: a task of the application's lifespan."""
        while True:
            try:
                if await self._is_our_turn():
                    await self.poll()
                    self._failures = 0
            except (ProviderUnavailable, StoreUnavailable) as error:
                self._failed(error)
            await asyncio.sleep(min(MAX_PAUSE, self._interval * 2.0 ** min(self._failures, 10)))

    async def poll(self) -> None:
        """Polls until the transmitter has no more tokens and all received ones are acknowledged or refused.

        Raises ProviderUnavailable and StoreUnavailable; the transmitter sends again what was not acknowledged.
        """
        acknowledged: list[str] = []
        refused: dict[str, tuple[str, str]] = {}
        for _ in range(ROUNDS):
            response = await self._transmitter.poll(PollRequest(acknowledged=acknowledged, refused=refused))
            metrics.SECURITY_EVENT_POLLS.labels(outcome="polled").inc()
            fresh = _without(response, {*acknowledged, *refused})
            if not fresh:
                return
            acknowledged, refused = await self._receive(fresh)

    async def _receive(self, tokens: Mapping[str, str]) -> tuple[list[str], dict[str, tuple[str, str]]]:
        """What may be acknowledged, and what is refused. A failure after some tokens leaves the others for later."""
        audiences = self._audiences or (await self._transmitter.stream()).audiences
        acknowledged: list[str] = []
        refused: dict[str, tuple[str, str]] = {}
        for jti, compact in tokens.items():
            try:
                await self._receiver.receive(compact, audiences)
                acknowledged.append(jti)
            except SecurityEventRefused as error:
                metrics.SECURITY_EVENTS_REFUSED.labels(error=error.err).inc()
                audit.record(AuditEvent.SECURITY_EVENT_REJECTED, error.code, why=error.detail)
                refused[jti] = (error.err, error.detail or error.title)
            except (ProviderUnavailable, StoreUnavailable):
                if not acknowledged and not refused:
                    raise
                break
        return acknowledged, refused

    async def _is_our_turn(self) -> bool:
        now = await self._store.now()
        turn = int(now / self._interval)
        return await self._store.claim_once(f"security event poll {turn}", now + 2 * self._interval)

    def _failed(self, error: ProviderUnavailable | StoreUnavailable) -> None:
        self._failures += 1
        metrics.SECURITY_EVENT_POLLS.labels(outcome="failed").inc()
        # Ever less often: the 1st, 2nd, 4th, 8th ... failure in a row.
        level = logging.DEBUG if self._failures & (self._failures - 1) else logging.WARNING
        fields = {"why": str(error), "failures": self._failures}
        logger.log(level, "the transmitter of security events could not be polled", extra=fields)


def _without(response: PollResponse, known: set[str]) -> Mapping[str, str]:
    """The tokens that this turn has not handled: a transmitter may ignore an acknowledgement or an error."""
    return {jti: token for jti, token in response.tokens.items() if jti not in known}
