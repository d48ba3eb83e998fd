"""The readiness checks of `/readyz`, which also run periodically for the metric of the store."""

import asyncio
from collections.abc import Awaitable, Callable

from bff.components.providers import Providers
from bff.components.runtime import Runtime
from bff.components.stores import Stores
from bff.components.timeouts import ReadinessTimeouts
from bff.errors import BffError
from bff.telemetry import metrics
from bff.web.health import ReadinessReport, is_ready


class Readiness:
    """Whether this process may receive traffic, and the state of what it depends on.

    A store that fails does not make it unready, unless BFF_READY_REQUIRES lists it: all replicas would become unready
    at once, and users would get the proxy's error page instead of the 503 that keeps them signed in. But a process that
    has never reached its store is not ready, so that a rollout with a wrong BFF_STORE stops at its first replica.
    """

    def __init__(
        self,
        runtime: Runtime,
        stores: Stores,
        providers: Providers,
        stopping: Callable[[], bool],
        timeouts: ReadinessTimeouts,
    ) -> None:
        """`stopping` says whether this process is about to stop."""
        self._telemetry, self._required = runtime.telemetry, frozenset(runtime.settings.server.ready_requires)
        self._stores, self._providers, self._stopping, self._timeouts = stores, providers, stopping, timeouts
        self._store_reached = False

    async def report(self) -> ReadinessReport:
        self._telemetry.bind()
        (store, in_sync), provider = await asyncio.gather(self._store(), self._passes(self._providers.main.metadata))
        checks = {
            "serving": not self._stopping(),
            "store_reached": self._store_reached,
            "store": store,
            "provider": provider,
        }
        if in_sync is not None:
            checks["key_ring_in_sync"] = in_sync
        if (granted := self._providers.offline_access.granted) is not None:
            checks["refresh_tokens"] = granted
        return ReadinessReport(is_ready(checks, self._required), checks)

    async def watch(self) -> None:
        """Checks the store periodically for its metric, until cancelled. The store's own timeouts apply."""
        while True:
            try:
                await self._stores.sessions.ping()
            except BffError:
                metrics.STORE_AVAILABLE.set(0)
            else:
                self._store_reached = True
                metrics.STORE_AVAILABLE.set(1)
            await asyncio.sleep(self._timeouts.interval)

    async def _store(self) -> tuple[bool, bool | None]:
        """Whether the store reads and writes, and whether the replicas agree about the newest key; None if unknown."""
        sessions, sync = self._stores.sessions, self._stores.key_ring_sync
        # The clock, because a store that is full can still be reached.
        self._store_reached = self._store_reached or await self._passes(sessions.now)
        available = self._store_reached and await self._passes(sessions.ping)
        in_sync = None
        if available and sync is not None:
            try:
                async with asyncio.timeout(self._timeouts.check):
                    in_sync = await sync.in_sync()
            except (BffError, TimeoutError):
                available = False
        return available, in_sync

    async def _passes(self, check: Callable[[], Awaitable[object]]) -> bool:
        """Whether it succeeds in time: a dependency that hangs must not outlast the probe's own timeout."""
        try:
            async with asyncio.timeout(self._timeouts.check):
                await check()
        except (BffError, TimeoutError):
            return False
        return True
