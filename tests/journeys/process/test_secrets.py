"""`bff serve` with its secrets in files: nothing of them is where other programs of the machine can look."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.harness.places import ROOT
from tests.harness.ports import free_port
from tests.harness.settings import CLIENT_SECRET, KEY, with_changes


@pytest.mark.parametrize("attack", ["LG-018"])
def test_no_secret_is_in_the_environment_the_command_line_or_a_core_dump(tmp_path: Path, attack: str) -> None:
    secret, keys = tmp_path / "secret", tmp_path / "keys"
    secret.write_text(CLIENT_SECRET)
    keys.write_text(KEY)
    port, management = free_port(), free_port()
    environ = with_changes(
        client_secret=None,
        session_keys=None,
        client_secret_file=str(secret),
        session_keys_file=str(keys),
        store=f"sqlite:///{tmp_path / 'bff.db'}",
        issuer="http://127.0.0.1:1/oauth2/default",
        listen=f"127.0.0.1:{port}",
        management_listen=f"127.0.0.1:{management}",
    )
    environ |= {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(
        [sys.executable, "-m", "bff", "serve"],
        env=environ,
        cwd=tmp_path,
        stderr=None,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2),
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{management}/livez", trust_env=False).status_code == 200:
                    break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        about = Path(f"/proc/{process.pid}")
        for file in ("environ", "cmdline"):
            told = (about / file).read_bytes()
            assert CLIENT_SECRET.encode() not in told
            assert KEY.encode() not in told
        limits = (about / "limits").read_text()
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
