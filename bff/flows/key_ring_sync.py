"""Whether all replicas seal under the same key: each one says which, and looks for one that says another.

A roll is in its middle while they disagree. That is no fault: it is told by `/readyz`, and refuses nobody.
"""

import asyncio
import logging
from typing import Final

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

ANNOUNCE_INTERVAL: Final = 2.0  # seconds
ANNOUNCEMENT_LIFETIME: Final = 6.0  # seconds; a replica that is gone no longer disagrees


class KeyRingSync:
    """A replica that shares no key with us can't be heard; `key_removed` at every request would tell of that one."""

    def __init__(self, store: SessionStore, ring: KeyRing) -> None:
        self._store, self._ring = store, ring

    async def announce(self) -> None:
        """Says our newest key every few seconds, until it is cancelled: a task of the application's lifespan."""
        while True:
            try:
                await self.announce_once()
            except StoreUnavailable:
                logger.debug("which key is the newest here could not be said")
            await asyncio.sleep(ANNOUNCE_INTERVAL)

    async def announce_once(self) -> None:
        now = await self._store.now()
        await self._store.put_marker(_name(self._ring.key_ids[0]), now, now + ANNOUNCEMENT_LIFETIME)

    async def in_sync(self) -> bool:
        """False when another replica sealed under another key of our ring just now. Raises StoreUnavailable."""
        announced_at = await asyncio.gather(*(self._store.get_marker(_name(other)) for other in self._ring.key_ids[1:]))
        return all(at is None for at in announced_at)


def _name(key_id: str) -> str:
    return f"newest key {key_id}"
