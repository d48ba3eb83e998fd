"""The tests of the Redis store pass with Valkey in the place of Redis."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.valkey import valkey_server
from tests.harness.places import ROOT
from tests.harness.redis_servers import one_server

pytestmark = pytest.mark.deploy

TIMEOUT = 3600  # seconds


@pytest.fixture
def search_path(tmp_path: Path) -> str:
    """A PATH on which `redis-server` is Valkey."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "redis-server").symlink_to(valkey_server())
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def valkey_first(search_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", search_path)


@pytest.mark.usefixtures("valkey_first")
def test_what_the_tests_start_is_valkey(tmp_path: Path) -> None:
    with one_server(tmp_path / "valkey") as server:
        info = server.ask("INFO", "server")
    text = info if isinstance(info, dict) else info.decode()
    assert "valkey" in str(text)


def test_the_store_and_its_failures(search_path: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not long", "tests/proof/stores"]
    command += ["-k", "redis or sentinel or cluster"]
    environ = {**os.environ, "PATH": search_path}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 100
