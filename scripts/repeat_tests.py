#!/usr/bin/env python3
"""Runs the tests again and again on a busy machine, records each run, and stops at the first failure.

    scripts/repeat_tests.py --runs 10 --burners 2   # `make test`, beside two processes that use a core each
    scripts/repeat_tests.py --runs 1 --stutter      # with every process of it stopped and continued at random

Each run is a line of JSON in `var/repeated-runs.jsonl`. After an interrupt the same command goes on: runs in a row that
passed at this commit, with these arguments, count. The output of a run is in `var/repeated-run.log`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "var" / "repeated-runs.jsonl"
OUTPUT = ROOT / "var" / "repeated-run.log"
# Which marks guard a merge stands in the Makefile.
(GUARDS_A_MERGE,) = re.findall(r"(?m)^GUARDS_A_MERGE := (.+)$", (ROOT / "Makefile").read_text("utf-8"))
PYTEST = [str(ROOT / ".venv" / "bin" / "pytest"), "-m", GUARDS_A_MERGE]
BURN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(1000000))"


class Stutter(threading.Thread):
    """Stops processes below `process` for 0.05 to 3 seconds each, several at a time; `finish` continues them all.

    A process that a test has stopped itself is left alone: `tests/harness/stopping.py` puts a file with its number into
    `stopped_by_tests`.
    """

    def __init__(self, process: subprocess.Popen[bytes], stopped_by_tests: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._process, self._theirs, self._random = process, stopped_by_tests, random.Random(seed)
        self._stopped: dict[int, float] = {}  # when each is to go on
        self._over = threading.Event()
        self.count = 0

    def run(self) -> None:
        next_stop = 0.0
        try:
            while not self._over.wait(0.02):
                now = time.monotonic()
                self._resume(now)
                if now >= next_stop:
                    next_stop = now + self._random.uniform(0.1, 0.5)
                    self._stop_one(now)
        finally:
            self._resume(float("inf"))

    def _stop_one(self, now: float) -> None:
        processes = descendants(self._process.pid)
        candidates = [pid for pid in processes if pid not in self._stopped]
        if candidates and 3 * len(self._stopped) < len(processes):  # or hardly any of a few processes ever runs
            pid = self._random.choice(candidates)
            if not self._is_theirs(pid) and _send(pid, signal.SIGSTOP):
                self._stopped[pid] = now + self._random.uniform(0.05, 3.0)
                self.count += 1

    def finish(self) -> None:
        self._over.set()
        self.join()

    def _resume(self, now: float) -> None:
        for pid in [pid for pid, until in self._stopped.items() if until <= now]:
            del self._stopped[pid]
            if not self._is_theirs(pid):
                _send(pid, signal.SIGCONT)
                if self._is_theirs(pid):  # since this very moment
                    _send(pid, signal.SIGSTOP)

    def _is_theirs(self, pid: int) -> bool:
        return (self._theirs / str(pid)).exists()


def _send(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
        return True
    return False


def descendants(root: int) -> list[int]:
    """The process, its children and theirs, and those of its session whose parent has ended; none that has ended."""
    command = ["ps", "-A", "-o", "pid=,ppid=,stat="]  # in a session of its own: ctrl-c is not for it
    listed = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    alive = {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
    below = {root} & alive.keys()
    for pid in alive:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == root:
                below.add(pid)
    while more := {pid for pid, parent in alive.items() if parent in below} - below:
        below |= more
    return sorted(below)


@contextlib.contextmanager
def burners(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def run_once(command: list[str], stutter_seed: int | None) -> dict[str, Any]:
    """One run of the command, with its output in OUTPUT; `stutter_seed` None for processes that are left to run."""
    started = time.monotonic()
    stutter = None
    with tempfile.TemporaryDirectory() as stopped_by_tests, OUTPUT.open("wb") as output:
        environ = {**os.environ, "STOPPED_BY_TESTS": stopped_by_tests}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            if stutter_seed is not None:
                stutter = Stutter(process, Path(stopped_by_tests), stutter_seed)
                stutter.start()
            code = process.wait()
        finally:
            if stutter is not None:
                stutter.finish()
            _end(process)
    return {
        "passed": code == 0,
        "seconds": round(time.monotonic() - started),
        "load": round(os.getloadavg()[0], 1),
        "summary": _last_line(OUTPUT),
        **({"stops": stutter.count} if stutter else {}),
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """After an interrupt: as with ctrl-c at first, so that the tests end what they have started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)


def _last_line(path: Path) -> str:
    lines = path.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[-1].strip("= ") if lines else ""


def passed_in_a_row(run: dict[str, Any]) -> int:
    """How many of the last recorded runs of this kind passed."""
    count = 0
    for line in RECORD.read_text("utf-8").splitlines() if RECORD.exists() else ():
        recorded = json.loads(line)
        if all(recorded.get(name) == value for name, value in run.items()):
            count = count + 1 if recorded["passed"] else 0
    return count


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+changes" if git("status", "--porcelain") else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="passed runs in a row, those of earlier calls included")
    parser.add_argument("--burners", type=int, default=0, help="processes that use a core each meanwhile")
    parser.add_argument("--stutter", action="store_true", help="stop and continue every process of the run at random")
    parser.add_argument("--seed", type=int, default=1, help="of the first run's stops; each further run adds one")
    options, arguments = parser.parse_known_args()
    command = [*PYTEST, *arguments] if arguments else ["make", "test"]
    RECORD.parent.mkdir(exist_ok=True)
    kind = {
        "commit": commit(),
        "command": " ".join(arguments) or "make test",
        "burners": options.burners,
        "stutter": options.stutter,
    }
    with burners(options.burners):
        while (done := passed_in_a_row(kind)) < options.runs:
            seed = options.seed + done if options.stutter else None
            date = time.strftime("%Y-%m-%dT%H:%M:%S%z")
            result = run_once(command, seed)
            with RECORD.open("a", encoding="utf-8") as record:
                record.write(json.dumps({"date": date, **kind, "seed": seed, **result}) + "\n")
            print(f"{done + 1} of {options.runs}: {result}", flush=True)
            if not result["passed"]:
                kept = OUTPUT.with_name(f"failed-{date.replace(':', '')}.log")
                OUTPUT.rename(kept)
                print(f"the output is in {kept.relative_to(ROOT)}")
                return 1
    return 0


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
