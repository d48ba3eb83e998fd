"""The command blocks of the documents, and a shell that runs them."""

import asyncio
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.harness.bff_command import PATIENCE
from tests.harness.places import ROOT

_FENCE = re.compile(r"(?ms)^ *```(\w*)\n(.*?)^ *```$")
_HEADING = re.compile(r"(?m)^#+ +(.+?) *$")


@cache
def command_blocks() -> dict[str, str]:
    """Every block of commands, by its document and the heading that it is below: `docs/cli.md: Completion`."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    blocks: dict[str, str] = {}
    for name in listed.split():
        text = (ROOT / name).read_text("utf-8")
        prose = _FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), text)  # a comment is no heading
        for block in _FENCE.finditer(text):
            if block[1] not in ("sh", "bash", "shell", "console"):
                continue
            above = list(_HEADING.finditer(prose, 0, block.start()))
            place = f"{name}: {above[-1][1] if above else ''}"
            number = sum(known.split(" #")[0] == place for known in blocks)
            blocks[f"{place} #{number + 1}" if number else place] = block[2]
    return blocks


def command_block(place: str) -> str:
    """The block at a place. Raises KeyError."""
    return command_blocks()[place]


def commands(block: str) -> list[str]:
    """The lines of a block that are commands, without their comments."""
    lines = (re.sub(r"(^|\s+)#.*", "", line) for line in block.splitlines())
    return [line for line in lines if line.strip()]


@dataclass(frozen=True, slots=True)
class Ran:
    exit_codes: list[int]  # of each line
    output: str


async def run_commands(lines: list[str], *, here: Path, environ: dict[str, str], before_each: str = ":") -> Ran:
    """Runs the lines in one shell at `here`. A server is stopped as soon as it is ready.

    `before_each` is a command that runs before each line. In a thread: what the commands call may live in this loop.
    """
    script = "\n".join(f'{before_each}\n{_ending(line)}\necho "exit $?"' for line in lines)
    done = await asyncio.to_thread(
        subprocess.run,
        ["bash", "-c", script],
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(here), **environ},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    codes = [int(code) for code in re.findall(r"^exit (\d+)$", done.stdout, re.MULTILINE)]
    return Ran(codes, done.stdout + done.stderr)


def _ending(line: str) -> str:
    if not line.startswith("bff serve"):
        return line
    ready = "until grep -q 'ready: open' serve.log; do kill -0 $server || break; sleep 0.1; done"
    return f"{line} > serve.log 2>&1 & server=$!\n{ready}\ncat serve.log; kill -TERM $server; wait $server"
