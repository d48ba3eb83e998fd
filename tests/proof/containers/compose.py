"""docker-compose.yml on a real engine: brought up, looked into, and its processes killed."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bff import __version__
from tests.harness.places import ROOT

NEEDED = (
    "bff",
    "demo",
    "docs",
    "deploy",
    "Dockerfile",
    "docker-compose.yml",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements-build.lock",
    "requirements.lock",
    "requirements-otel.lock",
)
NO_ENGINE = """no Docker engine is reachable, and these tests need one (with compose 2.24 or newer).
Start one, or say where it is: DOCKER_HOST=unix:///path/of/docker.sock make test-containers
Its published ports must be this machine's loopback: 8080 and 9000 have to be free.
"""
IMAGE = f"okta-bff:{__version__}"
UP_WITHIN = 600  # seconds; the first build downloads what the image is made of


def need_engine() -> None:
    """Ends the run loudly where there is no engine: nothing is ever skipped in silence."""
    told = NO_ENGINE
    if shutil.which("docker"):
        asked = subprocess.run(["docker", "version"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return
        told += asked.stderr
    pytest.exit(told, returncode=2)


@dataclass(frozen=True)
class Compose:
    """`directory` is a copy of what the images are made of, so that a `.env` of the checkout has no say."""

    directory: Path
    project: str
    profiles: tuple[str, ...] = ()

    @classmethod
    def laid_out(cls, directory: Path, project: str, *profiles: str) -> "Compose":
        for name in NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, directory / name)
        return cls(directory, project, profiles)

    def __call__(self, *arguments: str) -> str:
        """Runs `docker compose`; what it printed."""
        profiles = [word for profile in self.profiles for word in ("--profile", profile)]
        return _run(["docker", "compose", "-p", self.project, *profiles, *arguments], self.directory)

    def up(self) -> None:
        self("up", "--build", "--detach", "--wait", "--quiet-pull")

    def down(self) -> None:
        self("down", "--volumes", "--timeout", "5")

    def inspect(self, service: str) -> dict[str, object]:
        container = self("ps", "--all", "--quiet", service).strip()
        (found,) = json.loads(_run(["docker", "inspect", container], self.directory))
        return dict(found)

    def process(self, service: str) -> int:
        """The id of its first process on the engine's machine; 0 while it is not running."""
        state = self.inspect(service)["State"]
        assert isinstance(state, dict)
        return int(state["Pid"])

    def kill_process(self, service: str) -> None:
        """SIGKILL as if it had crashed. `docker kill` counts as an order to stop, after which nothing is restarted."""
        self.signal(service, 9)

    def signal(self, service: str, number: int) -> None:
        """Sends a signal to its first process."""
        order = f"import os; os.kill({self.process(service)}, {number})"
        container = ["--rm", "--pid", "host", "--user", "0:0", "--entrypoint", "python", IMAGE, "-c", order]
        _run(["docker", "run", *container], self.directory)

    def docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `docker`, whatever its exit code."""
        return subprocess.run(
            ["docker", *arguments], cwd=self.directory, capture_output=True, text=True, check=False, timeout=UP_WITHIN
        )

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `docker compose`, whatever its exit code."""
        return self.docker("compose", "-p", self.project, *arguments)

    def inside(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        arguments = ["docker", "compose", "-p", self.project, "exec", "-T", service, *command]
        return subprocess.run(arguments, cwd=self.directory, capture_output=True, text=True, check=False)


def _run(arguments: list[str], directory: Path) -> str:
    done = subprocess.run(
        arguments,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=UP_WITHIN,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"
    return done.stdout
