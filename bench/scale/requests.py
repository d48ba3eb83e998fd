"""What a request costs by the number of busy sessions, from `bench.busy`."""

from typing import Final

from bench import busy

SIZES: Final = (1_000, 10_000, 100_000)  # busy sessions
SECONDS: Final = 6
TITLE: Final = "Requests of busy sessions"


def measure(store: str, sessions: int, limit: float) -> dict[str, str]:
    """Bounded by the seconds of each run, so without need of `limit`. The sessions are created through the store."""
    measured = busy.measure(store, sessions, busy.ways(sessions), seconds=SECONDS)
    return {str(way): cost for way, cost in measured}
