"""The supervisor of several workers: starts them, replaces them one by one, starts a dead one again, and stops them.

It has the listening sockets, the management port and no application. A defect of the application therefore ends a
worker, and the others serve on. Why this is not uvicorn's: docs/decisions/0030-workers-of-one-machine.md.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bff.server.machine import Machine
from bff.server.worker_process import Descriptors, WorkerProcess
from bff.telemetry import metrics

logger = logging.getLogger(__name__)

NOT_STARTED: Final = 3  # the exit code


@dataclass(frozen=True, slots=True)
class SupervisorTimeouts:
    """In seconds. `start`: until the new worker of a roll has to serve; `retire`: until the old one has to end, or is
    killed. A worker that lived for `stable` is started again at once, others after at most `longest_pause`.
    """

    start: float = 120.0
    retire: float = 420.0
    stable: float = 60.0
    longest_pause: float = 30.0

    def restart_pause(self, failures: int) -> float:
        """Seconds until the next start after so many short lives in a row."""
        return 0.0 if failures < 2 else min(self.longest_pause, 2.0 ** min(failures - 2, 30))


@dataclass(frozen=True, slots=True)
class Workers:
    """`count` processes, each started by `command` with its order as one more argument (`WorkerOrder.parse`)."""

    count: int
    command: Sequence[str]
    timeouts: SupervisorTimeouts = SupervisorTimeouts()


@dataclass(eq=False, slots=True)
class _Slot:
    worker: WorkerProcess
    failures: int = 0
    # Held while a worker starts: one that dies in the middle of a roll is not started twice.
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)


class Supervisor:
    def __init__(self, workers: Workers, inherited: Descriptors) -> None:
        self._command, self._inherited = workers.command, inherited
        self._count, self._timeouts = workers.count, workers.timeouts
        self.machine = Machine(workers.count, lambda: self._stop_requested.is_set())
        # Once all workers serve, and once no more are started.
        self.all_serve, self.starts_no_more = asyncio.Event(), asyncio.Event()
        self._slots: list[_Slot] = []
        self._stop_requested, self._roll_requested = asyncio.Event(), asyncio.Event()

    async def run(self) -> int:
        """Until `stop`. Returns 0, or the code of the first worker if that could not start."""
        first = await self._start(0)
        await first.settled.wait()
        if not first.ready.is_set():
            await first.ended.wait()
            return 0 if self._stop_requested.is_set() else _start_code(first.code)
        self._slots = [_Slot(first)]
        # The others only now: what prevents the start was printed once.
        others = await asyncio.gather(*(self._start_again(number) for number in range(1, self._count)))
        self._slots += map(_Slot, others)
        tasks = [asyncio.create_task(self._keep(number, slot)) for number, slot in enumerate(self._slots)]
        tasks.append(asyncio.create_task(self._roll_when_requested()))
        self.worker_ready()
        await self._stop_requested.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.starts_no_more.set()
        while self.machine.workers:
            await asyncio.gather(*(worker.ended.wait() for worker in self.machine.workers))
        return 0

    def stop(self, number: int) -> None:
        """SIGTERM or SIGINT: stops all workers in order. A second one skips the drain delay."""
        repeated = number if self._stop_requested.is_set() else 0
        self._stop_requested.set()
        for worker in self.machine.workers:
            worker.stop(repeated)

    def reload(self) -> None:
        """SIGHUP: each worker reloads session keys and credentials."""
        for worker in self.machine.workers:
            worker.reload()

    def roll(self) -> None:
        """Replaces the workers one by one, each only when the new one serves. One more roll follows a running one."""
        self._roll_requested.set()

    async def _start(self, number: int) -> WorkerProcess:
        worker = await WorkerProcess.start(number, self._command, self._inherited, self)
        self.machine.workers.add(worker)
        if self._stop_requested.is_set():
            worker.stop()
        return worker

    def sessions_ended(self, source: WorkerProcess, keys: Sequence[str]) -> None:
        """Has the other workers check these sessions, which `source` has ended."""
        for worker in self.machine.workers:
            if worker is not source:
                worker.check_ended(keys)

    def worker_ready(self) -> None:
        if len(self._slots) == self._count and all(slot.worker.ready.is_set() for slot in self._slots):
            self.all_serve.set()

    def worker_ended(self, worker: WorkerProcess) -> None:
        self.machine.remove(worker)

    async def _keep(self, number: int, slot: _Slot) -> None:
        """Starts the worker of this slot again whenever it has ended by itself."""
        while True:
            worker = slot.worker
            await worker.ended.wait()
            if slot.worker is not worker:
                continue  # replaced by a roll
            slot.failures = 1 if worker.lifetime >= self._timeouts.stable else slot.failures + 1
            pause = self._timeouts.restart_pause(slot.failures)
            metrics.WORKER_RESTARTS.inc()
            logger.error(
                "a worker has ended, and is started again",
                extra={"worker": number, "pid": worker.pid, "code": worker.code, "in_seconds": pause},
            )
            await asyncio.sleep(pause)
            async with slot.starting:
                if slot.worker is worker:
                    slot.worker = await self._start_again(number)

    async def _start_again(self, number: int) -> WorkerProcess:
        while True:
            try:
                return await self._start(number)
            except OSError as error:  # no memory, or no process, for another one
                logger.error("a worker cannot be started", extra={"worker": number, "error": error.strerror})
                await asyncio.sleep(self._timeouts.longest_pause)

    async def _roll_when_requested(self) -> None:
        while True:
            await self._roll_requested.wait()
            self._roll_requested.clear()
            logger.info("the workers are replaced", extra={"workers": self._count})
            replaced = 0
            for number, slot in enumerate(self._slots):
                if not await self._replace(number, slot):
                    break
                replaced += 1
            logger.info("workers were replaced", extra={"replaced": replaced, "workers": self._count})

    async def _replace(self, number: int, slot: _Slot) -> bool:
        """Whether a new worker serves instead. Returns when the old one has ended."""
        async with slot.starting:
            new = await self._start_again(number)
            try:
                async with asyncio.timeout(self._timeouts.start):
                    await new.settled.wait()
            except TimeoutError:
                new.kill()
            if not new.ready.is_set() or new.ended.is_set():
                logger.error(
                    "a new worker does not serve, and the present ones stay", extra={"worker": number, "code": new.code}
                )
                return False
            old, slot.worker = slot.worker, new
        old.retire()
        try:
            async with asyncio.timeout(self._timeouts.retire):
                await old.ended.wait()
        except TimeoutError:
            logger.error("a replaced worker does not end, and is killed", extra={"worker": number, "pid": old.pid})
            old.kill()
        return True


def _start_code(code: int | None) -> int:
    return code if code is not None and code > 0 else NOT_STARTED
