"""How long the components of an application wait, in seconds; settings have the durations that an operator chooses."""

from dataclasses import dataclass, field

from bff.flows.refresh.timing import RefreshTimeouts
from bff.storage.timeouts import StoreTimeouts


@dataclass(frozen=True, slots=True)
class ReadinessTimeouts:
    """`check`: for each check, so that `/readyz` responds within the second that probes usually wait.

    `interval`: between two checks of the store for its metric.
    """

    check: float = 0.25
    interval: float = 5.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The defaults are for production.

    `last_spans`: how long the shutdown waits for a collector of traces. `settings_poll`: the time between two looks at
    the files of secrets.
    """

    store: StoreTimeouts = field(default_factory=StoreTimeouts)
    refresh: RefreshTimeouts = field(default_factory=RefreshTimeouts)
    readiness: ReadinessTimeouts = field(default_factory=ReadinessTimeouts)
    last_spans: float = 3.0
    settings_poll: float = 2.0
