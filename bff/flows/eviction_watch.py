"""A store that evicts records when memory runs out signs users out: it is rejected at the start, and monitored.

Only Redis can do so. Its policy is a server setting that may change at run time, and a failover may lead to a server
with other settings, so it is read again periodically.
"""

import asyncio
import logging
from typing import Final

from bff.errors import ConfigurationError, StoreUnavailable
from bff.session.store import SessionStore

logger = logging.getLogger(__name__)

NEVER: Final = "noeviction"
CHECK_INTERVAL: Final = 300.0  # seconds


class EvictionWatch:
    def __init__(self, store: SessionStore, *, allowed: bool, every: float = CHECK_INTERVAL) -> None:
        """`allowed` is BFF_ALLOW_EVICTING_STORE; `every` is in seconds."""
        self._store, self._allowed, self._every = store, allowed, every

    async def check(self) -> None:
        """For the start. Raises ConfigurationError if the store evicts and that is not allowed.

        The policy matters whether a limit (`maxmemory`) is set or not: without one it has no effect, and if a limit is
        set later, sessions would vanish without an error. An unreadable policy is only a warning.
        """
        try:
            policy = await self._store.eviction_policy()
        except StoreUnavailable as error:
            logger.warning(
                "the session store is not reachable: requests with a session get 503 until it is",
                extra={"setting": "BFF_STORE", "error": error.code},
            )
            return
        if policy is None:
            advice = "make sure that maxmemory-policy is noeviction, or grant +info"
            logger.warning("the store does not report whether it evicts sessions", extra={"advice": advice})
        elif policy != NEVER and not self._allowed:
            raise ConfigurationError(
                "BFF_STORE",
                (
                    f"is a Redis with maxmemory-policy {policy}: when memory runs out it deletes sessions, and users "
                    f"are signed out."
                ),
                "Set maxmemory-policy noeviction there, or accept it with BFF_ALLOW_EVICTING_STORE=true.",
            )
        elif policy != NEVER:
            self._log_evicting(policy)

    async def watch(self) -> None:
        """Reads the policy periodically, until cancelled; one that evicts is logged as an error, and nothing is
        stopped.
        """
        while True:
            await asyncio.sleep(self._every)
            try:
                policy = await self._store.eviction_policy()
            except StoreUnavailable:
                continue  # counted and logged by the callers that need the store
            if policy not in (NEVER, None):
                self._log_evicting(policy)

    def _log_evicting(self, policy: str | None) -> None:
        level = logging.WARNING if self._allowed else logging.ERROR
        logger.log(level, "the store evicts sessions when memory runs out", extra={"policy": policy})
