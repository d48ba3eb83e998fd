"""Sessions that are written while something else happens, and how long that takes."""

import asyncio
import os
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bff.session.session import SessionKey
from bff.session.store import Found, SessionStore
from bff.storage.sqlite.group_commit import GroupCommit

PERIOD = 0.02  # seconds between two writes


def bytes_written() -> int:
    """By this process to files, until now."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, number = line.partition(": ")
        if name == "wchar":
            return int(number)
    raise RuntimeError("no such counter")


def load_average() -> str:
    return f"{os.getloadavg()[0]:.1f}"


@dataclass
class Writers:
    """Writes a new version of some session every `PERIOD` seconds, whether or not the last write is done."""

    store: SessionStore
    keys: list[str]
    times: list[float] = field(default_factory=list)
    failures: int = 0

    async def _write(self, due_at: float) -> None:
        stored = await self.store.get(SessionKey(random.choice(self.keys)))
        if isinstance(stored, Found):
            session = stored.session
            try:
                await self.store.replace(replace(session, rotation=session.rotation + 1), session.version)
            except Exception:
                self.failures += 1
            self.times.append(time.perf_counter() - due_at)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            due_at = time.perf_counter()
            while True:
                due_at += PERIOD
                await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
                tasks.create_task(self._write(due_at))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def alone(self, seconds: float) -> str:
        """The p99 without anything else."""
        async with self.running():
            await asyncio.sleep(seconds)
        p99 = self.p99()
        self.times.clear()
        return p99

    def p99(self) -> str:
        """Milliseconds; and how many failed, if any."""
        ordered = sorted(self.times) or [0.0]
        failed = f", {self.failures} failed" if self.failures else ""
        return f"{ordered[len(ordered) * 99 // 100] * 1000:.1f} ms{failed}"


@dataclass
class TimedSteps:
    """Passes operations on to a group commit, and measures how long each holds the write lock, without its commit.

    In seconds of the thread's processor time, which says what the BFF does, however busy the machine is.
    """

    writes: GroupCommit
    times: list[float] = field(default_factory=list)

    async def run(self, operation: Callable[[sqlite3.Connection], Any]) -> Any:
        def timed(connection: sqlite3.Connection) -> Any:
            begun = time.thread_time()
            try:
                return operation(connection)
            finally:
                self.times.append(time.thread_time() - begun)

        return await self.writes.run(timed)

    def __str__(self) -> str:
        ordered = sorted(self.times)
        p50, p99 = (ordered[len(ordered) * percent // 100] * 1e3 for percent in (50, 99))
        return f"{p50:.1f} and {p99:.1f} ms of CPU"
