"""Runs the `bff` command: in this process, or in one of its own with exactly the given environment."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from bff.cli.main import main
from tests.harness.places import ROOT
from tests.harness.root_logger import taken_root_logger

PATIENCE = 180  # seconds; ends a test that hangs


def process_environment(environ: dict[str, str] | None = None) -> dict[str, str]:
    """What a process of Python needs to import the product from anywhere, and `environ`."""
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **(environ or {})}


def bff(*arguments: str, environ: dict[str, str] | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As a process. `cwd` is a folder without another bff.toml."""
    return python("-m", "bff", *arguments, environ=environ, cwd=cwd)


def python(*arguments: str, environ: dict[str, str] | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """An interpreter as a process, with nothing of this one's environment."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=process_environment(environ),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def call_bff(
    *arguments: str, environ: dict[str, str] | None = None, cwd: Path | None = None, terminal_input: str = ""
) -> subprocess.CompletedProcess[str]:
    """In this process, which saves the start of an interpreter. Not from a coroutine: commands run their own loop."""
    stdout, stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        patch.dict(os.environ, environ or {}, clear=True),
        contextlib.chdir(cwd) if cwd is not None else contextlib.nullcontext(),
        taken_root_logger(),
        patch.object(sys, "stdin", _Terminal(terminal_input) if terminal_input else io.StringIO()),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            code = main(arguments)
        except SystemExit as ended:  # the completion of a shell
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(arguments, code, _written(stdout), _written(stderr))


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
