"""Respects the provider's limits: requests per user, none while the provider throttles the client, and few while it
does not answer.

Okta refreshes at most four times a second per user, and answers 429 for the whole client when a rate-limit bucket is
empty. A 429 consumes no token, but a thousand sessions that each retry keep the bucket empty. During an outage one
session a second asks for all: each retries after seconds only, so that calls succeed again soon after the outage.
"""

from collections import deque
from collections.abc import Callable

PER_PERSON = 4  # calls
MAX_HOLD = 60.0  # seconds; Okta refills its buckets every minute
MAX_UNANSWERED = 10  # requests in a row without an answer; from then on the provider counts as unavailable
PROBE_INTERVAL = 1.0  # seconds between two requests while it is unavailable
MAX_PEOPLE = 10_000  # users with a request in the window; beyond that the cap on concurrent requests applies


class TokenRequestLimits:
    def __init__(self, monotonic: Callable[[], float], *, window: float) -> None:
        """A user has `PER_PERSON` calls in `window` seconds."""
        self._monotonic, self._window = monotonic, window
        self._blocked_until = 0.0
        self._unanswered = 0  # in a row
        self._next_probe = 0.0
        self._of_person: dict[str, deque[float]] = {}

    def block(self, seconds: float | None) -> None:
        """The provider answered 429 for the client: holds all requests for that long (one second if it did not say)."""
        wait = 1.0 if seconds is None else min(max(seconds, 0.0), MAX_HOLD)
        self._blocked_until = max(self._blocked_until, self._monotonic() + wait)

    def blocked_for(self) -> float:
        """Seconds until the provider may be called again; 0 if it may be called now."""
        return max(0.0, self._blocked_until - self._monotonic())

    def answered(self) -> None:
        """The provider answered a token request, whatever it said."""
        self._unanswered = 0

    def unanswered(self) -> None:
        """A token request had no answer: a refused connection, a timeout, a 5xx."""
        self._unanswered += 1

    def reserve_probe(self) -> float:
        """Seconds until a request may be sent although the provider is unavailable; 0 if now, and always if it is
        available. The probe is reserved: the next caller waits for the next one.
        """
        now = self._monotonic()
        if self._unanswered < MAX_UNANSWERED:
            return 0.0
        if now < self._next_probe:
            return self._next_probe - now
        self._next_probe = now + PROBE_INTERVAL
        return 0.0

    def reserve_turn(self, sub: str) -> float:
        """Seconds until this user's next request may be sent, 0 if now.

        The turn is reserved: later callers get later turns, in order.
        """
        now = self._monotonic()
        turns = self._of_person.get(sub)
        if turns is None:
            if len(self._of_person) >= MAX_PEOPLE:
                self._forget(now)
            turns = self._of_person[sub] = deque(maxlen=PER_PERSON)
        turn = max(now, turns[0] + self._window) if len(turns) == PER_PERSON else now
        turns.append(turn)
        return turn - now

    def _forget(self, now: float) -> None:
        for sub in [sub for sub, turns in self._of_person.items() if turns[-1] + self._window <= now]:
            del self._of_person[sub]
