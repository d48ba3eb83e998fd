"""The ASGI lifespan: checks and background tasks at the start, and an orderly end in the reverse order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, TypeAlias

from starlette.types import Receive, Scope, Send

from bff.errors import BffError

logger = logging.getLogger(__name__)

RESTART_PAUSE: Final = 5.0  # seconds until a background task that failed by a defect is started again

Step: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Lifespan:
    """`checks` run in order before the first request: a BffError stops the start. `background` tasks, by name, run from
    then until shutdown. `closing` steps run last to first, also after a start that failed.
    """

    checks: tuple[Step, ...]
    background: Mapping[str, Step]
    closing: tuple[Step, ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                await self.start(stack)
            except BffError as error:
                await stack.aclose()
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def start(self, stack: AsyncExitStack) -> None:
        """Enters everything into `stack`, which ends it. Raises the BffError of a check."""
        for step in self.closing:
            stack.push_async_callback(step)
        for check in self.checks:
            await check()
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for name, work in self.background.items():
            stack.callback(group.create_task(_supervise(name, work), name=name).cancel)


async def _supervise(name: str, work: Step) -> None:
    """Starts `work` again if it raises: an exception would otherwise end every background task of the group."""
    while True:
        try:
            await work()
            return
        except Exception:
            logger.exception("background task failed", extra={"task": name})
            await asyncio.sleep(RESTART_PAUSE)
