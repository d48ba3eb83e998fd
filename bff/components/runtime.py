"""What every group of components is built from."""

from collections.abc import Callable
from dataclasses import dataclass

from bff.components.ports import Siblings
from bff.config.session_policy import SessionPolicy
from bff.config.settings import Settings
from bff.flows.background import BackgroundTasks
from bff.telemetry.application import ApplicationTelemetry


@dataclass(frozen=True, slots=True)
class Runtime:
    """One per application. `clock` is the wall clock, in seconds since the epoch; `tasks` are drained at shutdown.

    `siblings` are the other workers of the machine, if there are any.
    """

    settings: Settings
    clock: Callable[[], float]
    telemetry: ApplicationTelemetry
    tasks: BackgroundTasks
    siblings: Siblings | None = None

    @property
    def policy(self) -> SessionPolicy:
        return SessionPolicy(self.settings.refresh, self.settings.session)
