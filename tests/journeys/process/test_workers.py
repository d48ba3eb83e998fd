"""`bff serve --workers` as an operator runs it: its start, its settings, and its end."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.harness.bff_command import bff, process_environment
from tests.harness.settings import with_changes
from tests.harness.waiting import PATIENCE, until

ADDRESSES = {"listen": "127.0.0.1:0", "management_listen": "off", "issuer": "http://127.0.0.1:1", "log_format": "json"}


class Serving:
    """The process, and the log lines that it has written."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        environ = with_changes(**ADDRESSES, store=f"sqlite:///{folder}/bff.db")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bff", "serve", "--workers", "2", "--config", str(folder / "bff.toml")],
                env=process_environment(environ),
                cwd=folder,
                stderr=log,
            )

    def messages(self, text: str) -> list[dict[str, object]]:
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if text in line["message"]]


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Serving]:
    started = Serving(folder)
    try:
        await until(lambda: started.messages("ready: open"), within=5 * PATIENCE)
        yield started
    finally:
        started.process.kill()
        await asyncio.to_thread(started.process.wait, PATIENCE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"store": "sqlite:////proc/1/x/bff.db"}, "BFF_STORE"),  # which only a worker opens
        ({"workers": "0"}, "BFF_WORKERS"),
        ({"workers": "many"}, "BFF_WORKERS"),
    ],
)
def test_what_prevents_the_start_is_reported_once_with_the_code_of_one_process(
    tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    done = bff("serve", environ=with_changes(**{**ADDRESSES, "workers": "2", **changes}), cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    problems = [line for line in done.stderr.splitlines() if message in line]
    assert len(problems) == 1, done.stderr


async def test_changed_settings_replace_the_workers_once_they_are_valid(tmp_path: Path) -> None:
    settings = tmp_path / "bff.toml"
    settings.write_text('log_level = "info"\n')
    async with serving(tmp_path) as running:
        settings.write_text('log_level = "loud"\n')
        running.process.send_signal(signal.SIGUSR2)
        await until(lambda: running.messages("the settings are not valid"))
        assert "log_level" in str(running.messages("the settings are not valid")[0]["error"]).lower()
        assert running.messages("the workers are replaced") == []
        settings.write_text('log_level = "debug"\n')
        running.process.send_signal(signal.SIGUSR2)
        await until(lambda: running.messages("workers were replaced"), within=5 * PATIENCE)
        assert [line["worker"] for line in running.messages("another worker takes over")] == [0, 1]
        before = len(
            running.messages("the settings were reloaded")
        )  # by workers that saw a new file before they were replaced
        running.process.send_signal(signal.SIGHUP)
        await until(lambda: len(running.messages("the settings were reloaded")) == before + 2)  # nothing changed
        settings.write_text('log_level = "info"\n')
        running.process.send_signal(signal.SIGHUP)
        await until(lambda: len(running.messages("workers were replaced")) == 2, within=5 * PATIENCE)
        running.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(running.process.wait, PATIENCE) == 0
    assert not running.messages("has ended, and is started again")
