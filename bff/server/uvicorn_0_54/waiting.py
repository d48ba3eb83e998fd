"""An event and a queue that take little memory while nothing waits in them.

asyncio's have a deque each, or three, of 600 bytes: 5 KiB for a WebSocket that idles.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class SmallEvent:
    """As `asyncio.Event`."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] | None = None

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        self._is_set = False

    async def wait(self) -> bool:
        if self._is_set:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            self._forget(waiter)
            raise
        return True

    def _forget(self, waiter: "asyncio.Future[None]") -> None:
        if self._waiters is not None and waiter in self._waiters:
            self._waiters.remove(waiter)


class SmallQueue(Generic[T]):
    """As `asyncio.Queue` without a limit."""

    __slots__ = ("_arrived", "_messages")

    def __init__(self) -> None:
        self._arrived = SmallEvent()
        self._messages: deque[T] | None = None

    def empty(self) -> bool:
        return self._messages is None

    def put_nowait(self, message: T) -> None:
        if self._messages is None:
            self._messages = deque()
        self._messages.append(message)
        self._arrived.set()

    async def get(self) -> T:
        """The oldest message. Several callers get one each, in no particular order."""
        while self._messages is None:
            self._arrived.clear()
            await self._arrived.wait()
        message = self._messages.popleft()
        if not self._messages:
            self._messages = None
        return message
