"""SIGSTOP and SIGCONT from a test. `scripts/repeat_tests.py --stutter` does not continue what a test has stopped."""

import contextlib
import os
import signal
from pathlib import Path


def stop_process(pid: int) -> None:
    if note := _note(pid):
        note.touch()
    os.kill(pid, signal.SIGSTOP)


def continue_process(pid: int) -> None:
    if note := _note(pid):
        note.unlink(missing_ok=True)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _note(pid: int) -> Path | None:
    folder = os.environ.get("STOPPED_BY_TESTS")
    return Path(folder) / str(pid) if folder else None
