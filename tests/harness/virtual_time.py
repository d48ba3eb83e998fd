"""An event loop that never waits: where nothing is ready, its clock moves on to the next timer."""

import asyncio
import selectors
from typing import Any


class Deadlock(Exception):
    """Nothing is ready and no timer is set: the test would wait for ever."""


class _JumpingSelector(selectors.DefaultSelector):
    elapsed = 0.0  # seconds since the loop began

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock
            self.elapsed += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.elapsed


async def time_passes(seconds: float) -> None:
    """Everything that is due within `seconds` of the loop's clock happens."""
    await asyncio.sleep(seconds)
