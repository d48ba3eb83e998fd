"""Checks whether all replicas encrypt under the same key: each publishes its newest key id and looks for a different
one. Replicas disagree during a key rotation. That is normal: `/readyz` reports it, and no request is refused.
"""

import asyncio
import logging
from typing import Final

from bff.errors import StoreUnavailable
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

ANNOUNCE_INTERVAL: Final = 2.0  # seconds
ANNOUNCEMENT_LIFETIME: Final = 6.0  # seconds; a stopped replica no longer disagrees


class KeyRingSync:
    """A replica without a common key cannot be detected here; its requests show `key_removed` instead."""

    def __init__(self, store: SessionStore, ring: KeyRing) -> None:
        self._store, self._ring = store, ring

    async def announce(self) -> None:
        """Publishes our newest key id every few seconds, until cancelled: a task of the application's lifespan."""
        while True:
            try:
                await self.announce_once()
            except StoreUnavailable:
                logger.debug("the newest key id could not be published")
            await asyncio.sleep(ANNOUNCE_INTERVAL)

    async def announce_once(self) -> None:
        now = await self._store.now()
        await self._store.put_marker(_name(self._ring.key_ids[0]), now, now + ANNOUNCEMENT_LIFETIME)

    async def in_sync(self) -> bool:
        """False when another replica recently published another newest key. Raises StoreUnavailable."""
        announced_at = await asyncio.gather(*(self._store.get_marker(_name(other)) for other in self._ring.key_ids[1:]))
        return all(at is None for at in announced_at)


def _name(key_id: str) -> str:
    return f"newest key {key_id}"
