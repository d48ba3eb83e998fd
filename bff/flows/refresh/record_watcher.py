"""Waits for another replica to change a record: one poll per session, shared by all waiters."""

import asyncio
from collections.abc import Callable

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.session.session import SessionKey
from bff.session.store import Found, SessionRecords

POLL_INTERVAL = 0.1  # seconds; ten reads a second per session


class RecordWatcher:
    def __init__(self, store: SessionRecords, tasks: BackgroundTasks, monotonic: Callable[[], float]) -> None:
        self._store, self._tasks, self._monotonic = store, tasks, monotonic
        self._groups: dict[SessionKey, tuple[int, asyncio.Task[None]]] = {}

    async def wait_for_change(self, key: SessionKey, version: int, within: float) -> None:
        """Returns when the record is no longer at `version`, or after `within` seconds; the caller reads it again."""
        known = self._groups.get(key)
        if known is None or known[0] != version or known[1].done():
            task = self._tasks.start(self._poll(key, version, within), f"watch {version}")
            self._groups[key] = (version, task)
        else:
            task = known[1]
        await asyncio.wait([task], timeout=within)

    async def _poll(self, key: SessionKey, version: int, within: float) -> None:
        until = self._monotonic() + within
        try:
            while self._monotonic() < until:
                await asyncio.sleep(POLL_INTERVAL)
                try:
                    stored = await self._store.get(key)
                except StoreUnavailable:
                    continue
                if not isinstance(stored, Found) or stored.view.version != version:
                    return
        finally:
            if (known := self._groups.get(key)) and known[0] == version:
                del self._groups[key]
