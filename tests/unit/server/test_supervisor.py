"""The supervisor with workers that are real processes and have no application."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.server.supervisor import Supervisor, SupervisorTimeouts, Workers
from bff.server.worker_process import Descriptors
from tests.harness.places import ROOT
from tests.harness.waiting import PATIENCE, until


class Running:
    """A supervisor with `count` workers, and what those have done."""

    def __init__(self, folder: Path, count: int, start_timeout: float = PATIENCE) -> None:
        self.folder = folder
        command = [sys.executable, "-S", "-E", str(ROOT / "tests/harness/tiny_worker.py"), str(folder)]
        self.null = os.open(os.devnull, os.O_RDONLY)
        timeouts = SupervisorTimeouts(start=start_timeout)
        self.supervisor = Supervisor(Workers(count, command, timeouts), Descriptors(self.null, None, self.null))
        self.running = asyncio.create_task(self.supervisor.run())

    def events(self, event: str) -> list[tuple[int, int]]:
        """The number and the process id of the workers that recorded it, in order."""
        lines = (self.folder / "events").read_text().splitlines() if (self.folder / "events").exists() else []
        fields = (line.split(" ", 2) for line in lines)
        return [(int(number), int(pid)) for number, pid, what in fields if what == event]

    @property
    def serving(self) -> dict[int, int]:
        return {worker.number: worker.pid for worker in self.supervisor.machine.workers if worker.serves}


@contextlib.asynccontextmanager
async def workers(
    folder: Path, *behaviour: str, count: int = 2, start_timeout: float = PATIENCE
) -> AsyncIterator[Running]:
    (folder / "behaviour").write_text(" ".join(behaviour))
    found = Running(folder, count, start_timeout)
    try:
        yield found
    finally:
        found.supervisor.stop(signal.SIGTERM)
        await found.running
        os.close(found.null)


def test_the_pause_before_a_restart_grows_with_each_failure() -> None:
    timeouts = SupervisorTimeouts(longest_pause=9.0)
    assert [timeouts.restart_pause(failures) for failures in range(1, 7)] == [0.0, 1.0, 2.0, 4.0, 8.0, 9.0]
    assert timeouts.restart_pause(5000) == 9.0


async def test_all_workers_serve_and_stop_in_order(tmp_path: Path) -> None:
    async with workers(tmp_path, count=3) as running:
        await running.supervisor.all_serve.wait()
        assert sorted(running.serving) == [0, 1, 2]
        running.supervisor.stop(signal.SIGTERM)
        running.supervisor.stop(signal.SIGINT)
        assert await running.running == 0
        assert Counter(number for number, _ in running.events("stop 0")) == {0: 1, 1: 1, 2: 1}
        assert running.serving == {}


@pytest.mark.parametrize(("behaviour", "code"), [("1", 1), ("3", 3), ("crash", 3)])
async def test_what_prevents_the_start_ends_the_supervisor_before_other_workers_try(
    tmp_path: Path, behaviour: str, code: int
) -> None:
    async with workers(tmp_path, behaviour) as running:
        assert await running.running == code
        assert len(running.events("started")) == 1


async def test_a_worker_that_dies_is_started_again_and_the_other_serves_on(tmp_path: Path) -> None:
    async with workers(tmp_path) as running:
        await running.supervisor.all_serve.wait()
        first, other = running.serving[0], running.serving[1]
        os.kill(first, signal.SIGKILL)
        await until(lambda: running.serving.get(0, first) != first)
        assert running.serving[1] == other


async def test_a_worker_that_dies_while_its_successor_starts_is_not_started_twice(tmp_path: Path) -> None:
    async with workers(tmp_path, "serve", "serve", "hang", start_timeout=0.5) as running:
        await running.supervisor.all_serve.wait()
        dead = running.serving[0]
        running.supervisor.roll()
        await until(lambda: len(running.events("started")) == 3)
        os.kill(dead, signal.SIGKILL)
        # The successor hangs and is killed, then comes the restart.
        await until(lambda: len(running.serving) == 2 and running.serving[0] != dead)
        assert len(running.events("started")) == 4


async def test_workers_are_replaced_one_by_one_each_when_its_successor_serves(tmp_path: Path) -> None:
    async with workers(tmp_path) as running:
        await running.supervisor.all_serve.wait()
        before = running.serving
        running.supervisor.roll()
        await until(lambda: len(running.events("retire")) == 2)
        lines = (tmp_path / "events").read_text().splitlines()
        after = running.serving
        steps = [step for n in (0, 1) for step in (f"{n} {after[n]} ready", f"{n} {before[n]} retire")]
        assert [line for line in lines if line in steps] == steps
        assert running.events("stop 0") == []


@pytest.mark.parametrize("behaviour", ["3", "crash", "hang"])
async def test_a_successor_that_does_not_serve_leaves_the_present_workers(tmp_path: Path, behaviour: str) -> None:
    async with workers(
        tmp_path, "serve", "serve", behaviour, start_timeout=0.5 if behaviour == "hang" else PATIENCE
    ) as running:
        await running.supervisor.all_serve.wait()
        before = running.serving
        running.supervisor.roll()
        await until(lambda: len(running.events("started")) == 3 and len(running.supervisor.machine.workers) == 2)
        assert running.serving == before


async def test_an_end_of_a_session_reaches_the_other_workers_only(tmp_path: Path) -> None:
    async with workers(tmp_path, count=3) as running:
        await running.supervisor.all_serve.wait()
        source = next(worker for worker in running.supervisor.machine.workers if worker.number == 1)
        running.supervisor.sessions_ended(source, ["key"])
        running.supervisor.reload()
        await until(lambda: len(running.events('{"reload": true}')) == 3)
        assert sorted(number for number, _ in running.events('{"ended": ["key"]}')) == [0, 2]


async def test_workers_whose_supervisor_is_gone_notice_it(tmp_path: Path) -> None:
    async with workers(tmp_path) as running:
        await running.supervisor.all_serve.wait()
        for worker in tuple(running.supervisor.machine.workers):
            worker._channel._writer.close()
        await until(lambda: len(running.events("alone")) >= 2)


async def test_readiness_and_metrics_are_those_of_all_workers(tmp_path: Path) -> None:
    async with workers(tmp_path) as running:
        await running.supervisor.all_serve.wait()
        machine = running.supervisor.machine
        report = await machine.report()
        assert report.ready
        assert dict(report.checks) == {"serving": True, "store": False, "all_workers": True}
        assert (await machine.liveness()).event_loop_lag == 0.1
        assert b"\nbff_x_total 2.0\n" in await machine.metrics()
        killed = running.serving[0]
        os.kill(killed, signal.SIGKILL)
        await until(lambda: running.serving.get(0, killed) != killed)
        assert b"\nbff_x_total 3.0\n" in await machine.metrics(), "what the dead one counted stays"
        running.supervisor.stop(signal.SIGTERM)
        assert not (await machine.report()).ready
