"""The session store with its keys, and the checks that run beside it."""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Final

from bff.components.runtime import Runtime
from bff.errors import BffError
from bff.flows.eviction_watch import EvictionWatch
from bff.flows.key_ring_sync import KeyRingSync
from bff.flows.logout.markers import LogoutMarkers
from bff.session.keyring import KeyRing
from bff.session.store import SessionStore
from bff.storage.credentials import ChangingCredentials
from bff.storage.limits import StoreLimits
from bff.storage.open import open_store
from bff.storage.timeouts import StoreTimeouts

logger = logging.getLogger(__name__)

PURGE_INTERVAL: Final = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Stores:
    """`key_ring_sync` is None for SQLite: all processes of its database are on one machine, and read the same files."""

    ring: KeyRing
    sessions: SessionStore
    logout_markers: LogoutMarkers
    key_ring_sync: KeyRingSync | None
    eviction: EvictionWatch

    async def purge(self) -> None:
        """Deletes expired records every `PURGE_INTERVAL` seconds, until cancelled."""
        while True:
            await asyncio.sleep(PURGE_INTERVAL)
            try:
                await self.sessions.purge_expired()
            except BffError as error:
                logger.warning("expired records could not be purged", extra={"error": error.code})


def build_stores(runtime: Runtime, timeouts: StoreTimeouts, credentials: ChangingCredentials | None = None) -> Stores:
    """Opens the SQLite database if one is configured. `credentials`: those of Redis that may change.

    Raises ConfigurationError.
    """
    settings, ring = runtime.settings, KeyRing.from_keys(runtime.settings.session.key_ring)
    clock = None if runtime.clock is time.time else runtime.clock
    limits = StoreLimits(cache=settings.store.record_cache)
    sessions = open_store(
        settings.store.url, ring, clock=clock, timeouts=timeouts, limits=limits, credentials=credentials
    )
    return Stores(
        ring=ring,
        sessions=sessions,
        logout_markers=LogoutMarkers(sessions, settings.sign_in.login_lifetime),
        key_ring_sync=None if settings.store.is_sqlite else KeyRingSync(sessions, ring),
        eviction=EvictionWatch(sessions, allowed=settings.store.allow_evicting),
    )
