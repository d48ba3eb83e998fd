"""A server under callgrind (valgrind): the instructions of the requests between two marks."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.processes import Child

# Instructions are counted between the marks only. Python's hashes are the same in every run.
COMMAND: Final = ("valgrind", "--tool=callgrind", "--instr-atstart=no", "-q")
ENVIRON: Final = {"PYTHONHASHSEED": "0"}

_TOTALS: Final = re.compile(r"^(?:summary|totals): (\d+)$", re.MULTILINE)


@dataclass
class Counted:
    """`instructions` in user mode: what the kernel does for a system call is not among them."""

    instructions: int = 0
    profile: Path | None = None  # for callgrind_annotate


def command(directory: Path) -> tuple[str, ...]:
    """The start of a command line: what follows it runs under callgrind, which writes into `directory`."""
    return (*COMMAND, f"--callgrind-out-file={directory}/callgrind.%p", "--dump-instr=no")


@contextmanager
def counted(child: Child, directory: Path) -> Iterator[Counted]:
    """Counts what the process of `child` does inside the block. The result is complete after it."""
    number, result = str(child.process.pid), Counted()
    _control("--instr=on", number)
    _control("--zero", number)
    yield result
    _control("--dump", number)
    _control("--instr=off", number)
    result.profile = max(directory.glob(f"callgrind.{number}.*"), key=lambda path: int(path.suffix[1:]))
    text = result.profile.read_text(errors="replace")
    totals = [int(match[1]) for match in _TOTALS.finditer(text)]
    if not totals:
        raise RuntimeError(f"callgrind wrote no totals to {result.profile}")
    result.instructions = totals[-1]


def _control(option: str, number: str) -> None:
    subprocess.run(["callgrind_control", option, number], check=True, capture_output=True, timeout=120)
