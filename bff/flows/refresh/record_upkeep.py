"""Record upkeep beside requests: moves `last_seen_at` forward, and re-encrypts records under the newest key."""

import contextlib
from dataclasses import replace

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from bff.session.session import Session, SessionKey
from bff.session.store import Found, SessionRecords
from bff.session.timing import RefreshPolicy

TOUCH_INTERVAL = 60.0  # seconds between two writes of last_seen_at


class RecordUpkeep:
    """Each write is a background task; one that fails is left to the session's next request."""

    def __init__(self, store: SessionRecords, tasks: BackgroundTasks, policy: RefreshPolicy) -> None:
        self._store, self._tasks = store, tasks
        self._touch_interval = min(TOUCH_INTERVAL, policy.idle_timeout / 10)
        self._sealing: set[SessionKey] = set()

    def touch(self, stored: Found) -> None:
        """Records activity, if the last was recorded long enough ago."""
        if stored.now - stored.last_seen_at >= self._touch_interval:
            self._tasks.start(self._touch(stored.view.key, stored.now), "touch")

    def reseal(self, stored: Found) -> None:
        """Re-encrypts a record that is sealed under an older key."""
        if stored.older_key and stored.view.key not in self._sealing:
            with contextlib.suppress(StoreUnavailable):
                session = stored.session
                self._sealing.add(session.key)
                self._tasks.start(self._rewrite(session), "re-encrypt")

    async def _rewrite(self, session: Session) -> None:
        try:
            with contextlib.suppress(StoreUnavailable):
                await self._store.replace(replace(session, version=session.version + 1), session.version)
        finally:
            self._sealing.discard(session.key)

    async def _touch(self, key: SessionKey, now: float) -> None:
        with contextlib.suppress(StoreUnavailable):
            await self._store.touch(key, now)
