"""The clock of a store that lives on this host: the wall clock at start, advanced by a clock that nobody sets.

It never steps back while the process lives, so a corrected wall clock neither stretches a lease nor ends a session. On
Linux it counts the time a machine was suspended (CLOCK_BOOTTIME); elsewhere it's the monotonic clock.
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
    """Seconds since the epoch, never less than before: every store of the process shares one origin."""
    return _start + _since_start()
