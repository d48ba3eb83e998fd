"""What every group of components is built from."""

from collections.abc import Callable
from dataclasses import dataclass

from bff.components.ports import Ports, Siblings
from bff.config.session_policy import SessionPolicy
from bff.config.settings import Settings
from bff.flows.background import BackgroundTasks
from bff.telemetry.application import ApplicationTelemetry


@dataclass(frozen=True, slots=True)
class Runtime:
    """One per application. `clock` is the wall clock, in seconds since the epoch; `tasks` are drained at shutdown.

    `ports` are what takes the place of what the settings name.
    """

    settings: Settings
    clock: Callable[[], float]
    telemetry: ApplicationTelemetry
    tasks: BackgroundTasks
    ports: Ports = Ports()

    @property
    def siblings(self) -> Siblings | None:
        """The other workers of the machine, if there are any."""
        return self.ports.siblings

    @property
    def policy(self) -> SessionPolicy:
        return SessionPolicy(self.settings.refresh, self.settings.session)
