"""The readiness checks of `/readyz`."""

from collections.abc import Callable
from dataclasses import dataclass

from bff.components.providers import Providers
from bff.components.stores import Stores
from bff.errors import BffError
from bff.telemetry.application import ApplicationTelemetry


@dataclass(frozen=True, slots=True)
class Readiness:
    """Each check by its name, and whether it passes. `stopping` says whether this process is about to stop."""

    stopping: Callable[[], bool]
    stores: Stores
    providers: Providers
    telemetry: ApplicationTelemetry

    async def checks(self) -> dict[str, bool]:
        self.telemetry.bind()
        checks = {"serving": not self.stopping(), "store": True, "provider": True}
        try:
            await self.stores.sessions.ping()
            if self.stores.key_ring_sync is not None:
                checks["key_ring_in_sync"] = await self.stores.key_ring_sync.in_sync()
        except BffError:
            checks["store"] = False
        try:
            await self.providers.main.metadata()
        except BffError:
            checks["provider"] = False
        return checks
