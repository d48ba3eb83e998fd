"""Failover recovery: writes granted tokens again that a failover of the store has lost."""

import asyncio
import logging
from dataclasses import dataclass, replace

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.flows.refresh.timing import RefreshTiming
from bff.session.session import Session, SessionKey
from bff.session.store import Found, SessionRecords, StoredSession
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

CONFIRM_AFTER = 3.0  # seconds; by then a store failover has happened


@dataclass(frozen=True, slots=True)
class _Result:
    session: Session
    until: float


class FailoverRecovery:
    """Keeps the last result that this process wrote for each session, for as long as the provider's grace period."""

    def __init__(self, store: SessionRecords, tasks: BackgroundTasks, timing: RefreshTiming) -> None:
        self._store, self._tasks, self._monotonic = store, tasks, timing.monotonic
        self._retention = max(timing.policy.grace, timing.policy.lease)
        self._results: dict[SessionKey, _Result] = {}

    def renewed(self, session: Session) -> None:
        """Records a result that has been written, and reads it back in a moment."""
        now = self._monotonic()
        # Oldest first, all with the same retention, so expiring them needs no scan.
        self._results.pop(session.key, None)
        while self._results and (oldest := next(iter(self._results.items())))[1].until <= now:
            del self._results[oldest[0]]
        self._results[session.key] = _Result(session, now + self._retention)
        self._confirm_soon(session.key)

    def has_result(self, key: SessionKey) -> bool:
        """Whether `reassert` may change anything; it returns the record as it is otherwise."""
        return key in self._results

    async def reassert(self, stored: StoredSession) -> StoredSession:
        """The record as it is after a lost result has been written again. Raises StoreUnavailable."""
        if not isinstance(stored, Found):
            return stored
        session = stored.view
        result = self._results.get(session.key)
        if result is None or session.rotation >= result.session.rotation or result.until <= self._monotonic():
            return stored
        if session.signed_in_at != result.session.signed_in_at:
            return stored
        ours = replace(result.session, version=session.version + 1)
        replaced = await self._store.replace(ours, session.version)
        if replaced.done:
            metrics.REFRESH_REASSERTED.inc()
            logger.warning(
                "the store had lost refreshed tokens; they were written again", extra={"session": ours.fingerprint}
            )
            return Found(stored.now, ours, stored.last_seen_at)
        return await self._store.get(session.key)

    def _confirm_soon(self, key: SessionKey) -> None:
        """A timer, not a task: shutdown does not wait for it."""
        loop = asyncio.get_running_loop()
        loop.call_later(CONFIRM_AFTER, lambda: self._tasks.start(self._confirm(key), "confirm"))

    async def _confirm(self, key: SessionKey) -> None:
        """Reads the record once more: a failover that lost the write is repaired without waiting for a request."""
        result = self._results.get(key)
        if result is None or result.until <= self._monotonic():
            return
        try:
            await self.reassert(await self._store.get(key))
        except StoreUnavailable:
            self._confirm_soon(key)
