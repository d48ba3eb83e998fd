"""What a request costs by the number of busy sessions, from `bench.busy`."""

from typing import Final

from bench import busy

SIZES: Final = (1_000, 10_000, 100_000)  # busy sessions
SECONDS: Final = 10
TITLE: Final = "Requests of busy sessions"


def measure(store: str, sessions: int) -> dict[str, str]:
    """Each takes a minute or two: the sessions are created through the store."""
    headings = {False: "a tenth of them sends nine of ten", True: "in turn"}
    return {
        heading: busy.measure(store, sessions, uniform=uniform, seconds=SECONDS).partition(": ")[2]
        for uniform, heading in headings.items()
    }
