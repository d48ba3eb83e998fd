"""Runs a command of the BFF, and measures its memory, its processor time and its first line."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ran:
    """Times are in seconds, `memory` in bytes (the most that was resident)."""

    seconds: float
    cpu: float
    first_line: float
    lines: int
    memory: int
    last: str


async def run(arguments: list[str], environ: Mapping[str, str]) -> Ran:
    """Reads its output as it comes. Raises RuntimeError if it fails."""
    began, used = time.perf_counter(), _children()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bff",
        *arguments,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    watching = asyncio.create_task(_most_memory(process.pid))
    errors = asyncio.create_task(process.stderr.read())
    first, lines, last = 0.0, 0, b""
    try:
        async for line in process.stdout:
            first, lines, last = first or time.perf_counter() - began, lines + 1, line
        code = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if code:
        raise RuntimeError(f"{arguments} ended with {code}: {(await errors).decode()[-500:]}")
    await errors
    seconds = time.perf_counter() - began
    return Ran(seconds, _children() - used, first, lines, await watching, last.decode().strip())


def _children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


async def _most_memory(pid: int) -> int:
    most = 0
    while True:
        try:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    most = int(line.split()[1]) << 10
                    break
            else:
                return most  # it has ended
        except OSError:
            return most
        await asyncio.sleep(0.02)
