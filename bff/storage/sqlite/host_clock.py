"""The clock of a local store: the wall clock at start, advanced by a monotonic clock.

It never steps back while the process lives, so a corrected wall clock neither extends a lease nor ends a session. On
Linux it includes suspend time (CLOCK_BOOTTIME); elsewhere it is the monotonic clock.
"""

import time
from collections.abc import Callable
from typing import Final


def _elapsed() -> Callable[[], float]:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return time.monotonic
    return lambda: time.clock_gettime(boottime)


_since_start: Final = _elapsed()
_start: Final = time.time() - _since_start()


def host_now() -> float:
    """Seconds since the epoch, monotonic; all stores of the process share one origin."""
    return _start + _since_start()
