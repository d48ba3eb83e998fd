"""When a browser has to hear that its session will end, or that it lasts longer than the browser knows. Pure.

A browser knows one end of its session: the one that it was last shown. Every request moves the idle timeout, which is
no news until the known end is near. Then it hears that the session ends, or until when it lasts now.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from bff.session.session import EndReason
from bff.session.store import Viewed
from bff.session.timing import RefreshPolicy

LONGEST_LEAD: Final = 120.0  # seconds
_MOVED: Final = 1.0  # seconds; browsers know whole ones


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a session ends, in seconds since the epoch on the store's clock, unless something moves that time."""

    at: float
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Expiring:
    deadline: Deadline
    now: float


@dataclass(frozen=True, slots=True)
class Renewed:
    at: float
    now: float


Notice: TypeAlias = Expiring | Renewed


def deadline(stored: Viewed, policy: RefreshPolicy) -> Deadline:
    idle_ends_at = stored.last_seen_at + policy.idle_timeout
    if idle_ends_at < stored.view.ends_at:
        return Deadline(idle_ends_at, EndReason.IDLE_TIMEOUT)
    return Deadline(stored.view.ends_at, EndReason.ABSOLUTE_TIMEOUT)


def lead(policy: RefreshPolicy) -> float:
    """How many seconds before the end a browser hears of it: two minutes, but at most a quarter of the idle timeout."""
    return min(LONGEST_LEAD, policy.idle_timeout / 4)


@dataclass(slots=True)
class KnownEnd:
    """The end that one browser knows, and whether it has heard that it is near."""

    at: float
    warned: bool = False

    def notice(self, now: float, ends: Deadline, lead: float) -> Notice | None:
        """What the browser has to hear now. It knows that from then on."""
        if ends.at < self.at - _MOVED:
            self.at = ends.at  # sooner than it knows: it hears so when that end is near
        if self.at - now > lead:
            return None
        moved, near = ends.at > self.at + _MOVED, ends.at - now <= lead
        if not moved and (self.warned or not near):
            return None
        self.at, self.warned = ends.at, near
        return Expiring(ends, now) if near else Renewed(ends.at, now)
