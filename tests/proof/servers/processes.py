"""Servers of others and ours, each as a process with one application."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.harness.places import ROOT
from tests.harness.ports import free_port
from tests.harness.waiting import PATIENCE, until

# By name: the arguments after `python -m`, for an application and a port of 127.0.0.1.
SERVERS: Final[Mapping[str, str]] = {
    "uvicorn with h11": "uvicorn {app} --port {port} --http h11 --timeout-graceful-shutdown 5",
    "uvicorn with httptools": "uvicorn {app} --port {port} --http httptools --timeout-graceful-shutdown 5",
    "hypercorn": "hypercorn {app} --bind 127.0.0.1:{port} --access-logfile - --graceful-timeout 5",
    "granian": "granian --interface asgi --port {port} --access-log --workers-kill-timeout 5 {app}",
}
OURS: Final[Mapping[str, str]] = {
    "bff serve": "bff serve --app {app}",
    "bff serve with workers": "bff serve --app {app} --workers 2",
}


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    output: Path

    async def end(self) -> int:
        """Its exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@asynccontextmanager
async def running(
    arguments: str, app: str, folder: Path, environ: Mapping[str, str], *, port: int | None = None
) -> AsyncIterator[Running]:
    """Waits until it accepts connections. `folder` is where it runs, and has its output."""
    port = port or free_port()
    output = Path(environ["OUTPUT"])
    command = [sys.executable, "-m", *arguments.format(app=app, port=port).split()]
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{folder}", "BFF_LISTEN": f"127.0.0.1:{port}"}
    with output.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**variables, **environ}, stdout=log, stderr=subprocess.STDOUT, process_group=0
        )
    try:
        await until(lambda: accepts(port) or process.poll() is not None, within=5 * PATIENCE)
        assert process.poll() is None, output.read_text()
        yield Running(process, port, output)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait, PATIENCE)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
