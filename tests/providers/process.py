"""A provider's process, with everything that it starts itself."""

import asyncio
import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx

from tests.harness.plain_http import plain_http
from tests.harness.stopping import continue_process
from tests.harness.waiting import until

START: Final = 3600.0  # seconds until a provider answers: Keycloak builds itself first, in a minute of an idle machine


class ProviderProcess:
    def __init__(
        self, command: Sequence[str], *, cwd: Path, log: Path, ready: str, environ: Mapping[str, str] | None = None
    ) -> None:
        """`ready` is a URL that answers 200 once it serves. What it writes goes to the file `log`."""
        self._command, self._cwd, self._log, self._ready = list(command), cwd, log, ready
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        atexit.register(self.kill)  # an interrupted run leaves no provider behind
        try:
            async with plain_http() as client:
                await until(lambda: self._answers(client), within=START)
        except BaseException:
            self.kill()
            raise

    async def stop(self) -> None:
        await asyncio.to_thread(self.kill)

    def kill(self) -> None:
        if self._process is not None:
            continue_process(self._process.pid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise RuntimeError(f"{self._command[0]} ended:\n{self._log.read_text(errors='replace')[-3000:]}")
        try:
            return (await client.get(self._ready)).status_code == 200
        except httpx.TransportError:
            return False
