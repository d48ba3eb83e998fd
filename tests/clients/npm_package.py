"""The npm package of clients/js in a folder of its own below var/, so that no node_modules lies among the sources."""

import hashlib
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.harness.places import ROOT

SOURCES: Final = ROOT / "clients" / "js"
WORKED_IN: Final = ROOT / "var" / "clients"
PATIENCE: Final = 1800.0  # seconds for one command of npm on a busy machine
KEPT: Final = "node_modules"  # what a copy keeps of the copy before


def copied(source: Path, to: Path) -> Path:
    """Copies the tracked files of a folder. `node_modules` of the copy stays."""
    to.mkdir(parents=True, exist_ok=True)
    for path in to.iterdir():
        if path.name != KEPT and path.suffix != ".installed":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=source, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, to / name)
    return to


def npm(folder: Path, *arguments: str) -> str:
    """Runs npm. Returns its output; fails with the end of it."""
    command = ["npm", *arguments]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{' '.join(arguments)} in {folder}:\n{output[-6000:]}"
    return output


def install(folder: Path, *others: Path) -> None:
    """`npm ci`, unless the lock file and `others` are those of the last time."""
    digest = hashlib.sha256(b"".join(_contents([folder / "package-lock.json", *others]))).hexdigest()
    stamp = folder / "dependencies.installed"
    if not stamp.exists() or stamp.read_text() != digest:
        stamp.unlink(missing_ok=True)
        npm(folder, "ci", "--ignore-scripts")
        stamp.write_text(digest)


def _contents(paths: Sequence[Path]) -> list[bytes]:
    return [path.read_bytes() for path in paths]
