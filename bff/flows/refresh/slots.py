"""How many token requests this process sends at a time: as many as the provider keeps up with, waited-for ones first.

The number doubles with every round of answers while requests queue, up to a limit. A 429, or no answer, halves it, but
not below where it began: an answer that is lost must not hold up the others. After that it grows by one with every
round (additive increase, multiplicative decrease, as TCP does).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bff.session.session import SessionKey
from bff.telemetry import metrics

START: Final = 20  # concurrent requests at first, and at least
DECREASE_INTERVAL: Final = 1.0  # seconds between two reductions: the requests of one moment fail together


class RefreshSlots:
    def __init__(self, limit: int, monotonic: Callable[[], float]) -> None:
        """At most `limit` requests at a time."""
        self._limit, self._monotonic = limit, monotonic
        self._least = float(min(START, limit))
        self._doubling = True
        self._allow(self._least)
        self._in_use, self._reduced_at = 0, -DECREASE_INTERVAL
        self._awaited: set[SessionKey] = set()
        self._first: deque[asyncio.Future[None]] = deque()
        self._rest: dict[SessionKey, deque[asyncio.Future[None]]] = {}

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now."""
        return int(self._allowed)

    def hold(self, key: SessionKey) -> "Slot":
        """`async with` waits for a slot: in the order of the calls, but those of awaited sessions first."""
        return Slot(self, key)

    async def take(self, key: SessionKey) -> None:
        if self._in_use < self.allowed and not self._first and not self._rest:
            self._in_use += 1
        else:
            await self._wait(key)

    def give_back(self) -> None:
        self._in_use -= 1
        self._fill()

    def awaited(self, key: SessionKey) -> None:
        """A request waits for this session's refresh: it goes before those that nothing waits for yet."""
        self._awaited.add(key)
        self._first.extend(self._rest.pop(key, ()))

    def settled(self, key: SessionKey) -> None:
        """The refresh is over."""
        self._awaited.discard(key)

    def answered(self) -> None:
        """The provider answered a request: more may be sent at a time, if any are waiting."""
        if self._first or self._rest:
            step = 1.0 if self._doubling else 1.0 / self._allowed
            self._allow(min(float(self._limit), self._allowed + step))
            self._fill()

    def overloaded(self) -> None:
        """The provider throttles the client, or does not answer."""
        now = self._monotonic()
        if now - self._reduced_at >= DECREASE_INTERVAL:
            self._doubling, self._reduced_at = False, now
            self._allow(max(self._least, self._allowed / 2))

    def _allow(self, requests: float) -> None:
        self._allowed = requests
        metrics.REFRESHES_ALLOWED.set(self.allowed)

    async def _wait(self, key: SessionKey) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (self._first if key in self._awaited else self._rest.setdefault(key, deque())).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the slot was given just before
                self.give_back()
            raise

    def _fill(self) -> None:
        while self._in_use < self.allowed and (turn := self._next()) is not None:
            if not turn.done():
                self._in_use += 1
                turn.set_result(None)

    def _next(self) -> asyncio.Future[None] | None:
        if self._first:
            return self._first.popleft()
        for key, turns in self._rest.items():
            turn = turns.popleft()
            if not turns:
                del self._rest[key]
            return turn
        return None


@dataclass(frozen=True, slots=True)
class Slot:
    """One token request's place, from `async with` to its end."""

    slots: RefreshSlots
    key: SessionKey

    async def __aenter__(self) -> None:
        await self.slots.take(self.key)

    async def __aexit__(self, *_: object) -> None:
        self.slots.give_back()
