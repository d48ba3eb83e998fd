"""Notices when the event loop stands still: a metric, a log line with the place, and finally the exit of the process.

Every listener runs in that loop, so a process that is stuck responds to no probe either. An orchestrator replaces it
when its liveness probe times out, but Docker and systemd restart a process only when it ends. Hence it ends itself. As
with any crash, no session is lost.
"""

import asyncio
import contextlib
import logging
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from bff.telemetry import metrics

logger = logging.getLogger(__name__)

INTERVAL: Final = 1.0  # seconds between two beats of the loop, and between two checks of the thread
WINDOW: Final = 60.0  # seconds; the metric is the largest lag within them
STALLED: Final = 4  # the exit code
_LOG_WITHIN: Final = 5.0  # seconds; the stuck thread may hold a lock of the log


@dataclass(slots=True)
class Stall:
    """Counts checks without a beat of the loop.

    It counts checks instead of measuring time: if the whole process was stopped (SIGSTOP, a suspended machine), the
    thread that checks was stopped too.
    """

    limit: int  # checks without a beat after which the loop counts as stuck
    beats: int = 0
    checks: int = 0

    def check(self, beats: int) -> bool:
        """Whether the loop is stuck; `beats` is how often it has run so far."""
        self.checks = self.checks + 1 if beats == self.beats else 0
        self.beats = beats
        return self.checks >= self.limit


class Watchdog:
    """A task in the event loop, and a thread that checks that the task runs. Use it inside the running loop."""

    def __init__(self, timeout: float, *, interval: float = INTERVAL, end: Callable[[int], object] = os._exit) -> None:
        """`timeout`: seconds without a turn of the loop after which the process ends with code STALLED; 0 is never.

        `interval` is in seconds. `end` ends the process with that code.
        """
        self._timeout, self._interval, self._end = timeout, interval, end
        self._beats = 0
        self._lags: deque[float] = deque(maxlen=max(1, round(WINDOW / interval)))
        self._stopped = threading.Event()
        self._watched = threading.get_ident()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watches the loop until the block ends."""
        beat = asyncio.create_task(self._beat(), name="watchdog")
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        if self._timeout:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            beat.cancel()

    async def _beat(self) -> None:
        while True:
            due = time.monotonic() + self._interval
            await asyncio.sleep(self._interval)
            self._lags.append(max(0.0, time.monotonic() - due))
            metrics.EVENT_LOOP_LAG.set(max(self._lags))
            self._beats += 1

    def _watch(self) -> None:
        stall = Stall(limit=max(1, round(self._timeout / self._interval)))
        while not self._stopped.wait(self._interval):
            if stall.check(self._beats):
                reporter = threading.Thread(target=self._report, name="watchdog report", daemon=True)
                reporter.start()
                reporter.join(_LOG_WITHIN)
                self._end(STALLED)
                return

    def _report(self) -> None:
        """Logs where the loop stands: files, lines and functions, and no value of a variable."""
        frame = sys._current_frames().get(self._watched)
        place = [f"{entry.filename}:{entry.lineno} {entry.name}" for entry in traceback.extract_stack(frame)]
        logger.critical(
            "the event loop stands still, and the process ends so that it is started again",
            extra={"seconds": self._timeout, "place": " < ".join(reversed(place[-12:]))},
        )
        logging.shutdown()
