"""Refreshes the tokens of active sessions before they expire; inactive sessions are left alone."""

import asyncio
import heapq
from collections.abc import Callable

from bff.session.session import SessionKey

ACTIVE_WINDOW = 300.0  # seconds since its last request during which a session counts as active
MAX_SESSIONS = 100_000  # sessions tracked; any further ones are refreshed on demand


class EarlyRefresh:
    """Tracks when each active session is due, and then calls `refresh`. Times are monotonic seconds."""

    def __init__(self, renew: Callable[[SessionKey], None], monotonic: Callable[[], float]) -> None:
        self._renew, self._monotonic = renew, monotonic
        self._seen: dict[SessionKey, float] = {}
        self._scheduled: set[SessionKey] = set()
        self._due: list[tuple[float, SessionKey]] = []
        self._sooner = asyncio.Event()

    def active(self, key: SessionKey, due_in: float) -> None:
        """Records a request of this session, whose tokens are due in `due_in` seconds."""
        if key not in self._seen and len(self._seen) >= MAX_SESSIONS:
            return
        self._seen[key] = self._monotonic()
        self._schedule(key, due_in)

    def renewed(self, key: SessionKey, due_in: float) -> None:
        """Records new tokens: an active session is scheduled again."""
        if key in self._seen:
            self._schedule(key, due_in)

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            now = self._monotonic()
            while self._due and self._due[0][0] <= now:
                self._refresh_if_active(heapq.heappop(self._due)[1], now)
            self._sooner.clear()
            pause = self._due[0][0] - now if self._due else None
            try:
                async with asyncio.timeout(pause):
                    await self._sooner.wait()
            except TimeoutError:
                continue

    def _refresh_if_active(self, key: SessionKey, now: float) -> None:
        self._scheduled.discard(key)
        if now - self._seen.get(key, 0.0) > ACTIVE_WINDOW:
            self._seen.pop(key, None)
        else:
            # Either `refreshed` or the session's next request schedules it again.
            self._renew(key)

    def _schedule(self, key: SessionKey, due_in: float) -> None:
        if key in self._scheduled:
            return
        self._scheduled.add(key)
        # At least a second apart: a token that is due at issuance must not cause a busy loop.
        heapq.heappush(self._due, (self._monotonic() + max(1.0, due_in), key))
        if self._due[0][1] == key:
            self._sooner.set()
