"""The provider's limits, kept before it has to enforce them: calls for one person, and none while it throttles us.

Okta refreshes for a person at most four times a second, and answers 429 for the whole client when a bucket is empty
(`okta.md` 9). A 429 consumes nothing, but a thousand sessions that each find it out alone keep the bucket empty.
"""

from collections import deque
from collections.abc import Callable

PER_PERSON = 4  # calls
WINDOW = 1.0  # seconds
MAX_HOLD = 60.0  # seconds: Okta's buckets are refilled every minute
MAX_PEOPLE = 10_000  # people with a call in the last second; more than that is what the cap on calls is for


class TokenRequestLimits:
    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._blocked_until = 0.0
        self._of_person: dict[str, deque[float]] = {}

    def block(self, seconds: float | None) -> None:
        """The provider answered 429 for the client: nobody asks again for that long (a second, if it did not say)."""
        wait = 1.0 if seconds is None else min(max(seconds, 0.0), MAX_HOLD)
        self._blocked_until = max(self._blocked_until, self._monotonic() + wait)

    def blocked_for(self) -> float:
        """Seconds until the provider may be asked again; 0 when it may be now."""
        return max(0.0, self._blocked_until - self._monotonic())

    def reserve_turn(self, sub: str) -> float:
        """Seconds until this person's next call may go, 0 when it may now. The turn is taken: whoever asks next is
        given a later one, so that nobody is overtaken while they wait."""
        now = self._monotonic()
        turns = self._of_person.get(sub)
        if turns is None:
            if len(self._of_person) >= MAX_PEOPLE:
                self._forget(now)
            turns = self._of_person[sub] = deque(maxlen=PER_PERSON)
        turn = max(now, turns[0] + WINDOW) if len(turns) == PER_PERSON else now
        turns.append(turn)
        return turn - now

    def _forget(self, now: float) -> None:
        for sub in [sub for sub, turns in self._of_person.items() if turns[-1] + WINDOW <= now]:
            del self._of_person[sub]
