"""Tasks that belong to the application, not to a request: a closed tab does not cancel them."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from bff.errors import BffError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BackgroundTasks:
    """Runs tasks until they finish; the lifespan drains them at shutdown."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        # The event loop keeps only weak references to tasks: without this set one could be garbage-collected while it
        # runs.
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def drain(self, within: float) -> int:
        """Waits up to `within` seconds for running tasks, and for those they start (a refresh may end with a
        revocation), cancels the rest and returns how many were cancelled.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while (late := {task for task in self._tasks if not task.done()}) and loop.time() < deadline:
            await asyncio.wait(late, timeout=deadline - loop.time())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Expected errors have been logged where they occurred.
            level = logging.INFO if isinstance(error, BffError) else logging.ERROR
            logger.log(level, "background task failed", extra={"task": task.get_name(), "error": type(error).__name__})
