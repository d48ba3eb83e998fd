"""A receiver over the flows of one application in memory, and deliveries to it."""

from typing import Any

from bff.flows.security_events.actions import SecurityEventActions
from bff.flows.security_events.poll_delivery import PollDelivery
from bff.flows.security_events.receiver import SecurityEventReceiver
from tests.harness.minting import ISSUER
from tests.harness.security_events import (
    AUDIENCE,
    MemoryTransmitter,
    iss_sub,
    security_event_token,
)
from tests.unit.flows.parts import Parts


class Reception:
    def __init__(self, parts: Parts, transmitter: MemoryTransmitter | None = None) -> None:
        self.parts, self.transmitter = parts, transmitter or MemoryTransmitter()
        actions = SecurityEventActions(
            parts.store, parts.end_sessions, parts.settings.provider, self.transmitter.issuer
        )
        self.receiver = SecurityEventReceiver(
            parts.store, self.transmitter, actions, parts.settings, clock=parts.data.clock
        )

    def token(self, event: str, subject: Any = None, *, at: float | None = None, **changes: Any) -> str:
        """`at` is the event's time in seconds, now by default; sent in Okta's milliseconds."""
        now = self.parts.now
        payload = {"event_timestamp": int(1000 * (now if at is None else at)), **changes.pop("payload", {})}
        return security_event_token(now, {event: payload}, sub_id=subject or iss_sub("alice"), **changes)

    async def deliver(self, compact: str) -> None:
        await self.receiver.receive(compact, (AUDIENCE,))

    def polls(self, interval: float = 1.0, audiences: tuple[str, ...] = ()) -> PollDelivery:
        return PollDelivery(self.parts.store, self.transmitter, self.receiver, interval=interval, audiences=audiences)


def custom(sub: str) -> dict[str, Any]:
    """A subject that names the custom authorization server, the issuer of the ID tokens."""
    return iss_sub(sub, ISSUER)
