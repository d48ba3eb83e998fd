"""A circuit breaker: consecutive failures open it, and one probe at a time tests the server.

While it is open callers get "unavailable" at once instead of after a timeout, and the server gets no load.
"""

from dataclasses import dataclass
from typing import Final

FAILURES: Final = 3  # consecutive; one slow reply is not an outage
PAUSE: Final = 0.5  # seconds between probes, so that recovery is noticed soon and without a restart


@dataclass(slots=True)
class CircuitBreaker:
    """`now` is any monotonic clock, in seconds. `unreachable`: the last failure was no reply of the server."""

    failures: int = 0
    next_probe: float = 0.0
    probing: bool = False
    unreachable: bool = False

    def admits(self, now: float) -> bool:
        """Whether to try. A caller admitted while the circuit is open is the probe, and must report the result."""
        if self.failures < FAILURES:
            return True
        if self.probing or now < self.next_probe:
            return False
        self.probing = True
        return True

    def succeeded(self) -> None:
        self.failures, self.probing = 0, False

    def failed(self, now: float, *, unreachable: bool = False) -> None:
        self.unreachable = unreachable
        self.failures, self.probing = self.failures + 1, False
        self.next_probe = now + PAUSE
