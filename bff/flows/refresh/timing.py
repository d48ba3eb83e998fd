"""The clocks of a refresh: this process's monotonic clock, and the store's time as read through it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bff.session.timing import RefreshPolicy


@dataclass(frozen=True, slots=True)
class RefreshTimeouts:
    """In seconds. `caller`: how long a request waits for a refresh before it gets 503.

    `per_user`: the time in which the provider answers only so many requests of one user.
    """

    caller: float = 10.0
    per_user: float = 1.0


@dataclass(frozen=True, slots=True)
class RefreshTiming:
    """The durations of the policy, the monotonic clock that measures them in this process, and how long it waits."""

    policy: RefreshPolicy
    monotonic: Callable[[], float] = time.monotonic
    timeouts: RefreshTimeouts = field(default_factory=RefreshTimeouts)


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
