"""The wall clock of a world."""

import time
from dataclasses import dataclass


@dataclass
class Clock:
    """The time of day `ahead` seconds from now. `time.monotonic` is not affected."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead
