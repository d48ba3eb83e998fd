"""Runs `bff` as the operator does: a process of its own, with exactly the environment that is given."""

import subprocess
import sys
from pathlib import Path


def bff(*arguments: str, environ: dict[str, str] | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """`cwd` is a folder without a bff.toml of anybody else."""
    return subprocess.run(
        [sys.executable, "-m", "bff", *arguments],
        env={"PATH": "/usr/bin:/bin", **(environ or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
