"""When to stop asking a server that does not answer: failures in a row open the circuit, one probe at a time tests it.

While it is open a caller hears "unavailable" at once instead of after a timeout, and the server is not hammered.
"""

from dataclasses import dataclass
from typing import Final

FAILURES: Final = 3  # in a row; one slow answer is no outage
PAUSE: Final = 0.5  # seconds between probes, so that recovery is noticed soon and without a restart


@dataclass(slots=True)
class CircuitBreaker:
    """`now` is any clock that only goes forward, in seconds."""

    failures: int = 0
    next_probe: float = 0.0
    probing: bool = False

    def admits(self, now: float) -> bool:
        """Whether to try. Who is let through while the circuit is open is the probe, and must report how it went."""
        if self.failures < FAILURES:
            return True
        if self.probing or now < self.next_probe:
            return False
        self.probing = True
        return True

    def succeeded(self) -> None:
        self.failures, self.probing = 0, False

    def failed(self, now: float) -> None:
        self.failures, self.probing = self.failures + 1, False
        self.next_probe = now + PAUSE
