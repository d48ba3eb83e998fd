"""Brings a provider into var/providers/, by the package client of its language, and only when its manifest changed."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.harness.places import ROOT

INSTALLED: Final = ROOT / "var" / "providers"
PATIENCE: Final = 3600.0  # seconds for one command of a package client: a build of Hydra takes minutes


class InstallationFailed(Exception):
    """A package client failed; the text has the end of what it said."""


@contextmanager
def alone(name: str) -> Iterator[Path]:
    """The folder of this provider, which no other process changes meanwhile."""
    folder = INSTALLED / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def install(name: str, manifest: Sequence[Path], by: Callable[[Path], None]) -> Path:
    """Calls `by` with the provider's folder, unless it was installed from these very manifest files; the folder."""
    digest = hashlib.sha256()
    for path in manifest:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    with alone(name) as folder:
        stamp = folder / "installed"
        if not stamp.exists() or stamp.read_text() != digest.hexdigest():
            stamp.unlink(missing_ok=True)
            by(folder)
            stamp.write_text(digest.hexdigest())
    return folder


def run(*command: str, cwd: Path, environ: Mapping[str, str] | None = None) -> None:
    """Runs a package client behind everything else on this machine. Raises InstallationFailed."""
    if shutil.which(command[0]) is None:
        raise InstallationFailed(f"{command[0]} is not installed; `make test-providers` installs it")
    done = subprocess.run(
        ["nice", "-n", "10", *command],
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise InstallationFailed(f"{' '.join(command)}\n{(done.stdout + done.stderr)[-3000:]}")
