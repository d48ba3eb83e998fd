"""An asyncio event loop whose time is simulated: it never waits, it moves its clock to the next timer."""

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from typing import Any

TURNS_AT_ONE_INSTANT = 20_000  # more than any burst needs; a loop that spins without waiting reaches it at once
OUTSIDE = Context()  # the network, the store, the provider: they go on whatever becomes of a process


class Deadlock(Exception):
    """Nothing is ready and no timer is set: whoever still waits would wait for ever."""


class HotLoop(Exception):
    """Simulated time stands still while callbacks go on."""


class Process:
    """What can be stopped, continued and killed as one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.running = True
        self.dead = False
        self.draining = False
        self.died_at = float("inf")
        self.stopped_for = 0.0  # seconds, all stops together
        self._stopped_at = 0.0
        self._deferred: list[asyncio.Handle] = []

    def stop(self, now: float) -> None:
        self.running, self._stopped_at = False, now

    def kill(self, now: float) -> None:
        self.running, self.dead, self.died_at = False, True, now
        self._deferred.clear()

    def resume(self, loop: "SimulatedLoop") -> None:
        if self.dead or self.running:
            return
        self.running = True
        self.stopped_for += loop.time() - self._stopped_at
        loop.run_soon(self._deferred)
        self._deferred = []

    def defer(self, handle: asyncio.Handle) -> None:
        if not self.dead:
            self._deferred.append(handle)


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Handle(asyncio.Handle):
    __slots__ = ()

    def _run(self) -> None:
        process = self._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is None or process.running:
            super()._run()  # type: ignore[misc]
        else:
            process.defer(self)


class _TimerHandle(asyncio.TimerHandle):
    __slots__ = ()

    def _run(self) -> None:
        process = self._context.get(PROCESS)  # type: ignore[attr-defined]
        if process is None or process.running:
            super()._run()  # type: ignore[misc]
        else:
            process.defer(self)


class SimulatedTask(asyncio.Task[Any]):
    """A task whose place in a set depends on when it was made, not on its address: a run can be repeated exactly."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = len(options["loop"].tasks)
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimulatedLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._turns = 0
        self._clock_resolution = 1e-6  # coarser than a float far from zero, or a distant timer would never be due
        self._selector = self  # BaseEventLoop asks it to wait for I/O; there is none
        self.tasks: list[SimulatedTask] = []  # kept, so that none of a killed process is collected while it pends
        self.defects: list[str] = []
        self.set_task_factory(self._new_task)
        self.set_exception_handler(self._defect)

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        if timeout > 0:
            self._now = self._scheduled[0].when()  # type: ignore[attr-defined]
            self._turns = 0
        else:
            self._turns += 1
            if self._turns > TURNS_AT_ONE_INSTANT:
                raise HotLoop
        return []

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)  # type: ignore[attr-defined]
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def outside(self, delay: float, callback: Callable[[], None]) -> None:
        """Calls back after `delay` seconds, whatever becomes of the process that asks."""
        self.call_later(max(0.0, delay), callback, context=OUTSIDE)

    def run_soon(self, handles: list[asyncio.Handle]) -> None:
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def bury(self) -> None:
        """Takes down what is still pending and closes the loop."""
        asyncio._set_running_loop(self)  # type: ignore[attr-defined]  # a `finally` may ask for it
        try:
            for task in self.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    task.get_coro().close()  # type: ignore[union-attr]
        finally:
            asyncio._set_running_loop(None)  # type: ignore[attr-defined]
        self._ready.clear()  # type: ignore[attr-defined]
        self._scheduled.clear()  # type: ignore[attr-defined]
        self.tasks.clear()
        self.close()

    def _process_events(self, events: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        raise RuntimeError("there is one thread here")

    def _new_task(self, loop: Any, coroutine: Any, **options: Any) -> Any:
        task = SimulatedTask(coroutine, loop=self, **options)
        self.tasks.append(task)
        return task

    def _defect(self, loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.defects.append(f"{context.get('message')} {type(error).__name__ if error else ''}")
