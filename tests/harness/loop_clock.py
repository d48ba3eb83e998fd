"""The clock of the running event loop, which a test advances: a timeout expires without waiting for it."""

import asyncio
from collections.abc import Callable


def advance_loop_clock(*, frozen: bool = False) -> Callable[[float], None]:
    """A function that advances the running loop's clock by so many seconds, for the rest of the loop's life."""
    loop, ahead = asyncio.get_running_loop(), 0.0
    clock, begun = loop.time, loop.time()

    def advance(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    loop.time = lambda: (begun if frozen else clock()) + ahead  # type: ignore[method-assign]
    return advance
