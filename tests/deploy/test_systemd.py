"""The unit of systemd: understood by systemd, hardened, and in agreement with how the BFF stops."""

import re
import subprocess
from pathlib import Path

import pytest

from bff.config.refresh import RefreshSettings
from bff.server.uvicorn_0_54.server import DRAIN
from tests.harness.places import ROOT

pytestmark = pytest.mark.deploy

UNIT = ROOT / "deploy" / "systemd" / "okta-bff.service"
EXPOSURE = 1.5  # of 10, by `systemd-analyze security`: the lower the better
TIMEOUT = 300  # seconds


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def value(name: str) -> str:
    (found,) = re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text("utf-8"))
    return str(found)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    program = tmp_path / "bff"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = UNIT.read_text("utf-8").replace("/opt/bff/bin/bff", str(program))

    def verified(content: str) -> subprocess.CompletedProcess[str]:
        unit = tmp_path / UNIT.name
        unit.write_text(content, "utf-8")
        return analyze("verify", "--man=no", str(unit))

    done = verified(text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    misspelt = verified(text.replace("ProtectHome=", "ProtectHomes="))
    assert "ProtectHomes" in misspelt.stderr


def test_the_exposure_is_low() -> None:
    done = analyze("security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE * 10:.0f}", str(UNIT))
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found is not None
    assert float(found[1]) <= EXPOSURE


def test_a_stop_has_the_time_that_it_needs_and_signals_are_for_the_supervisor() -> None:
    assert float(value("TimeoutStopSec")) >= DRAIN + RefreshSettings().timeout + 2 + 5
    assert value("KillMode") == "mixed"
    assert value("ExecReload") == "/bin/kill -USR2 $MAINPID"
    assert value("Restart") == "always"
