"""Secrets of a running `bff serve` that other processes of the machine could see."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.harness.bff_command import process_environment
from tests.harness.plain_http import plain_http
from tests.harness.ports import free_port
from tests.harness.settings import CLIENT_SECRET, KEY, with_changes
from tests.harness.waiting import PATIENCE, until


@pytest.mark.case("LG-018")
async def test_no_secret_is_in_the_environment_the_command_line_or_a_core_dump(tmp_path: Path) -> None:
    secret, keys = tmp_path / "secret", tmp_path / "keys"
    secret.write_text(CLIENT_SECRET)
    keys.write_text(KEY)
    management = free_port()
    environ = with_changes(
        client_secret=None,
        session_keys=None,
        client_secret_file=str(secret),
        session_keys_file=str(keys),
        store=f"sqlite:///{tmp_path / 'bff.db'}",
        issuer="http://127.0.0.1:1/oauth2/default",
        listen=f"127.0.0.1:{free_port()}",
        management_listen=f"127.0.0.1:{management}",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "bff", "serve"],
        env=process_environment(environ),
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2),
    )

    async def live() -> bool:
        assert process.poll() is None
        try:
            return (await http.get(f"http://127.0.0.1:{management}/livez")).status_code == 200
        except httpx.ConnectError:
            return False

    try:
        async with plain_http() as http:
            await until(live)
        about = Path(f"/proc/{process.pid}")
        for file in ("environ", "cmdline"):
            content = (about / file).read_bytes()
            assert CLIENT_SECRET.encode() not in content
            assert KEY.encode() not in content
        (core,) = [line for line in (about / "limits").read_text().splitlines() if line.startswith("Max core file")]
        assert core.split()[4:6] == ["0", "0"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
