"""Ends the wait of a refresh's callers when the session ends: at once if this process ended it, within one poll
interval if another replica did.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.session.session import SessionKey
from bff.session.store import Found, SessionStore

POLL_INTERVAL: Final = 0.5  # seconds between two reads of the record, to see an end by another replica


class SessionEnds:
    """Notifies waiters of the sessions that this process ends."""

    def __init__(self) -> None:
        self._waiting: dict[SessionKey, set[asyncio.Future[None]]] = {}

    @contextmanager
    def watch(self, key: SessionKey) -> Iterator[asyncio.Future[None]]:
        """A future that completes when this process ends that session; it is unregistered on exit."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(key, set())
        waiting.add(ended)
        try:
            yield ended
        finally:
            waiting.discard(ended)
            if not waiting and self._waiting.get(key) is waiting:
                del self._waiting[key]

    def ended(self, key: SessionKey) -> None:
        for future in self._waiting.get(key, ()):
            if not future.done():
                future.set_result(None)


class EndWatch:
    """Watches for the end of a session during a refresh: one task for all callers of that refresh."""

    def __init__(
        self, store: SessionStore, tasks: BackgroundTasks, ends: SessionEnds, *, poll_interval: float = POLL_INTERVAL
    ) -> None:
        """`poll_interval` is in seconds: how soon an end by another replica is noticed."""
        self._store, self._tasks, self._ends, self._poll_interval = store, tasks, ends, poll_interval
        self._watching: dict[asyncio.Task[Any], asyncio.Task[None]] = {}

    def beside(self, refresh: asyncio.Task[Any], key: SessionKey) -> asyncio.Task[None]:
        """A task that completes when the record is gone; it is cancelled when the refresh completes."""
        watching = self._watching.get(refresh)
        if watching is None:
            watching = self._watching[refresh] = self._tasks.start(self._deleted(key), "watch for the end of a session")
            refresh.add_done_callback(lambda done: self._watching.pop(done).cancel())
        return watching

    async def _deleted(self, key: SessionKey) -> None:
        with self._ends.watch(key) as ended:
            while True:
                await asyncio.wait([ended], timeout=self._poll_interval)
                if ended.done():
                    return
                try:
                    if not isinstance(await self._store.get(key), Found):
                        return
                except StoreUnavailable:
                    continue
