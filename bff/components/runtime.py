"""What every group of components is built from."""

from collections.abc import Callable
from dataclasses import dataclass

from bff.config.settings import Settings
from bff.flows.background import BackgroundTasks
from bff.session.timing import RefreshPolicy
from bff.telemetry.application import ApplicationTelemetry


@dataclass(frozen=True, slots=True)
class Runtime:
    """One per application. `clock` is the wall clock, in seconds since the epoch; `tasks` are drained at shutdown."""

    settings: Settings
    clock: Callable[[], float]
    policy: RefreshPolicy
    telemetry: ApplicationTelemetry
    tasks: BackgroundTasks
