"""What the management port says for all workers of a machine."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final

from bff.server.worker_process import WorkerProcess
from bff.telemetry import metrics
from bff.telemetry.merged_metrics import MergedMetrics, snapshot
from bff.web.health import LivenessReport, ReadinessReport

# Those of the supervisor itself; every other metric is one of the workers.
_OWN: Final = frozenset({"bff_info", "bff_worker_restarts", "bff_log_records_dropped"})


class Machine:
    """Asks the workers, and combines their answers."""

    def __init__(self, wanted: int, stopping: Callable[[], bool]) -> None:
        """`wanted` is the number of workers."""
        self.workers: set[WorkerProcess] = set()
        self._wanted, self._stopping, self._merged = wanted, stopping, MergedMetrics()

    def remove(self, ended: WorkerProcess) -> None:
        """Its counts stay in the sums."""
        self.workers.discard(ended)
        self._merged.process_ended(ended.metrics)

    async def report(self) -> ReadinessReport:
        """Ready if at least one worker serves, and every one that serves is ready.

        A worker that is being started again accepts no connections, so it does not make the machine unready.
        """
        answers = await self._ask("readiness")
        checks = {"serving": bool(answers) and not self._stopping()}
        for answer in answers:
            for name, passes in answer["checks"].items():
                checks[name] = checks.get(name, True) and passes
        checks["all_workers"] = len(answers) == self._wanted
        return ReadinessReport(checks["serving"] and all(answer["ready"] for answer in answers), checks)

    async def liveness(self) -> LivenessReport:
        """Alive as long as one worker answers, and while the first one starts: the supervisor replaces the others."""
        serving = any(worker.serves for worker in self.workers)
        answers = await self._ask("liveness")
        lags = [answer["event_loop_lag"] for answer in answers if answer["event_loop_lag"] is not None]
        return LivenessReport(live=bool(answers) or not serving, event_loop_lag=max(lags, default=None))

    async def metrics(self) -> bytes:
        """The sums, with the last report of a worker that does not answer, and the counts of those that have ended."""
        asked = [worker for worker in self.workers if worker.ready.is_set()]
        for worker, values in zip(asked, await self._ask_each(asked, "metrics"), strict=True):
            if values is not None:
                worker.metrics = values
        own = [family for family in snapshot(metrics.REGISTRY) if family[0] in _OWN]
        # Those of now: a worker that has ended meanwhile is in the sums already.
        return self._merged.text([*(worker.metrics for worker in self.workers), own])

    async def _ask(self, about: str) -> list[Any]:
        answers = await self._ask_each([worker for worker in self.workers if worker.serves], about)
        return [answer for answer in answers if answer is not None]

    async def _ask_each(self, workers: Collection[WorkerProcess], about: str) -> list[Any]:
        return await asyncio.gather(*(worker.ask(about) for worker in workers))
