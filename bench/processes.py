"""Child processes that are pinned to a core, and measurements of their memory and of the load of a core."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROXY_CORE, LOAD_CORE = 1, 0


class Child:
    def __init__(
        self,
        name: str,
        arguments: list[str],
        directory: Path,
        core: int | str,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.log = directory / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(core), *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(timeout=5)
                return
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def raise_priority(self) -> None:
        """Above other work of the machine, which would show as more processor time for each request. Needs root."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.process.pid}/autogroup").write_text("-15")
            for name in self._tasks():
                os.setpriority(os.PRIO_PROCESS, int(name), -15)

    def _tasks(self) -> Iterator[str]:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(ProcessLookupError, FileNotFoundError):
                    if os.getsid(int(entry.name)) == self.process.pid:
                        yield from (task.name for task in (entry / "task").iterdir())

    def resident(self) -> int:
        """Bytes of memory resident in this process and its children."""
        pages = sum(int(statistics.split()[1]) for statistics in self._read("statm"))
        return pages * os.sysconf("SC_PAGE_SIZE")

    def processor_time(self) -> float:
        """Seconds of processor time that the threads of this process and its children have used, in user and in kernel
        mode.
        """
        return sum(int(statistics.split()[0]) for statistics in self._read("task/*/schedstat")) / 1e9

    def _read(self, name: str) -> Iterator[str]:
        """These files of /proc, of each process of the session: workers have process groups of their own."""
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if os.getsid(int(entry.name)) == self.process.pid:
                        for file in entry.glob(name):
                            yield file.read_text()
                except (ProcessLookupError, FileNotFoundError):
                    continue


@dataclass(frozen=True)
class Children:
    """The processes of a contender that consists of several."""

    members: tuple[Child, ...]

    def stop(self) -> None:
        for child in self.members:
            child.stop()

    def resident(self) -> int:
        return sum(child.resident() for child in self.members)

    def processor_time(self) -> float:
        return sum(child.processor_time() for child in self.members)


def until(condition: Callable[[], bool], what: str, timeout: float = 20.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.05)


@dataclass
class CoreClock:
    """Measures the load of a core between `begin` and `share`, as a share of 1."""

    core: int
    _before: tuple[int, int] = (0, 0)

    def begin(self) -> None:
        self._before = self._read()

    def share(self) -> float:
        idle, total = self._read()
        was_idle, was_total = self._before
        return 1 - (idle - was_idle) / max(1, total - was_total)

    def _read(self) -> tuple[int, int]:
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name == f"cpu{self.core}":
                numbers = [int(field) for field in fields[:8]]
                return numbers[3] + numbers[4], sum(numbers)
        raise RuntimeError("no such core")
