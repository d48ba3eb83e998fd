"""A store that throws records away when its memory is short signs people out: it is refused at the start, and watched.

Only Redis can do so. Its policy is a setting of the server that may change while we run, and a failover may lead to a
server that is set up otherwise, so it is read again now and then.
"""

import asyncio
import logging
from typing import Final

from bff.errors import ConfigurationError, StoreUnavailable
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

NEVER: Final = "noeviction"
CHECKED_EVERY: Final = 300.0  # seconds


class EvictionWatch:
    def __init__(self, store: SessionStore, *, allowed: bool, every: float = CHECKED_EVERY) -> None:
        """`allowed` is BFF_ALLOW_EVICTING_STORE; `every` is in seconds."""
        self._store, self._allowed, self._every = store, allowed, every

    async def check(self) -> None:
        """For the start. Raises ConfigurationError where the store evicts and that is not allowed.

        The policy counts whether a limit (`maxmemory`) is set or not: without one it has no use, and whoever sets one
        later would see no error while sessions begin to vanish. What cannot be read is only a warning.
        """
        try:
            policy = await self._store.eviction_policy()
        except StoreUnavailable as error:
            logger.warning("the store does not answer yet", extra={"error": error.code})
            return
        if policy is None:
            advice = "see to it that maxmemory-policy is noeviction, or grant +info"
            logger.warning("the store does not say whether it evicts sessions", extra={"advice": advice})
        elif policy != NEVER and not self._allowed:
            raise ConfigurationError(
                "BFF_STORE",
                f"is a Redis with maxmemory-policy {policy}: when memory is short it deletes sessions, and people are "
                "signed out.",
                "Set maxmemory-policy noeviction there, or accept it with BFF_ALLOW_EVICTING_STORE=true.",
            )
        elif policy != NEVER:
            self._log_evicting(policy)

    async def watch(self) -> None:
        """Reads the policy again for ever; one that evicts is an error in the log, and nothing is stopped for it."""
        while True:
            await asyncio.sleep(self._every)
            try:
                policy = await self._store.eviction_policy()
            except StoreUnavailable:
                continue  # counted and told by whoever needs the store
            if policy not in (NEVER, None):
                self._log_evicting(policy)

    def _log_evicting(self, policy: str | None) -> None:
        level = logging.WARNING if self._allowed else logging.ERROR
        logger.log(level, "the store evicts sessions when its memory is short", extra={"policy": policy})
