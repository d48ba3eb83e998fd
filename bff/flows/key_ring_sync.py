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

SAID_EVERY: Final = 2.0  # seconds
BELIEVED: Final = 6.0  # seconds; a replica that is gone no longer disagrees


class KeyAgreement:
    """A replica that shares no key with us can't be heard; `key_removed` at every request would tell of that one."""

    def __init__(self, store: SessionStore, ring: KeyRing) -> None:
        self._store, self._ring = store, ring

    async def say(self) -> None:
        """Says our newest key every few seconds, until it is cancelled: a task of the application's lifespan."""
        while True:
            try:
                await self.say_once()
            except StoreUnavailable:
                logger.debug("which key is the newest here could not be said")
            await asyncio.sleep(SAID_EVERY)

    async def say_once(self) -> None:
        now = await self._store.now()
        await self._store.mark(_name(self._ring.key_ids[0]), now, now + BELIEVED)

    async def agrees(self) -> bool:
        """False when another replica sealed under another key of our ring just now. Raises StoreUnavailable."""
        said = await asyncio.gather(*(self._store.marked(_name(other)) for other in self._ring.key_ids[1:]))
        return all(at is None for at in said)


def _name(key_id: str) -> str:
    return f"newest key {key_id}"
