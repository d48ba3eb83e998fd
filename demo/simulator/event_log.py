"""The event log, in order. No event contains a token, a code or a secret: at most a fingerprint."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    n: int
    at: float
    kind: str
    text: str
    facts: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"n": self.n, "at": self.at, "kind": self.kind, "text": self.text, **self.facts}


class EventLog:
    """Keeps the latest `keep` events; numbers are unique."""

    def __init__(self, keep: int = 5000) -> None:
        self._events: list[Event] = []
        self._keep = keep
        self._last = 0
        self.violations: list[Event] = []

    @property
    def last(self) -> int:
        return self._last

    def record(self, at: float, kind: str, text: str, **facts: Any) -> Event:
        self._last += 1
        event = Event(self._last, at, kind, text, facts)
        self._events.append(event)
        if len(self._events) > 2 * self._keep:
            del self._events[: -self._keep]
        return event

    def violation(self, at: float, rule: str, text: str, **facts: Any) -> None:
        """Records behaviour of no correct client. Tests assert that there is none."""
        self.violations.append(self.record(at, "violation", text, rule=rule, **facts))

    def after(self, n: int) -> list[Event]:
        return [event for event in self._events if event.n > n]
