"""Ways to wait in a test: for turns of the event loop, or for a condition. No result depends on how long it takes."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Final

PATIENCE: Final = 60.0  # seconds: when a wait for something that should happen has failed, on the busiest machine
_PAUSE: Final = 0.005  # seconds between two looks


async def loop_turns(count: int = 1) -> None:
    """Lets everything run that is ready now, `count` times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object | Awaitable[object]], *, within: float = PATIENCE) -> None:
    """Returns when `condition` (a function or a coroutine function) is true; TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(_PAUSE)
