"""A client's connection and the clock of a protocol, so that a test decides what arrives when."""

import asyncio
from collections.abc import Callable
from typing import Any


class Wire(asyncio.Transport):
    """A client's connection that remembers what was written and whether it was closed."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2), "socket": None})
        self.written, self.closed, self.paused = b"", False, False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class ManualTimers:
    """An event loop for a protocol: the running one, whose timers fire when the test advances the clock."""

    def __init__(self) -> None:
        self._loop, self._now = asyncio.get_running_loop(), 0.0
        self._timers: list[_Timer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, delay: float, callback: Callable[..., Any], *arguments: Any) -> "_Timer":
        self._timers.append(_Timer(self._now + delay, lambda: callback(*arguments)))
        return self._timers[-1]

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for timer in list(self._timers):
            if timer.at <= self._now:
                self._timers.remove(timer)
                if not timer.cancelled:
                    timer.callback()


class _Timer:
    def __init__(self, at: float, callback: Callable[[], Any]) -> None:
        self.at, self.callback, self.cancelled = at, callback, False

    def cancel(self) -> None:
        self.cancelled = True
