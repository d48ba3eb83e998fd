"""`bff serve` with a log pipe that is not read: it starts, answers on every port, and ends in order."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.bff_command import process_environment
from tests.harness.pipes import lines_of, small_pipe
from tests.harness.plain_http import plain_http
from tests.harness.ports import free_port
from tests.harness.settings import with_changes
from tests.harness.waiting import PATIENCE, until


class Stalled:
    """`bff serve` at debug, where each refusal is a line; its standard output and error are one full pipe."""

    def __init__(self, folder: Path, reader: int, end: int) -> None:
        self.reader, self.end = reader, end
        public, management = free_port(), free_port()
        self.public, self.management = f"http://127.0.0.1:{public}", f"http://127.0.0.1:{management}"
        environ = with_changes(
            issuer=f"http://127.0.0.1:{free_port()}",  # away, which is a line too
            listen=f"127.0.0.1:{public}",
            management_listen=f"127.0.0.1:{management}",
            routes='[{"prefix": "/api", "upstream": "http://127.0.0.1:9"}]',
            log_level="debug",
        )
        command = [sys.executable, "-m", "bff", "serve"]
        self.process = subprocess.Popen(command, env=process_environment(environ), cwd=folder, stdout=end, stderr=end)

    async def statuses(self, url: str, times: int) -> set[int]:
        """Of so many requests, once the port is open."""
        async with plain_http(timeout=PATIENCE) as client:

            async def is_open() -> bool:
                try:
                    return bool(await client.get(url))
                except httpx.ConnectError:
                    return False

            await until(is_open)
            return {(await client.get(url, headers={"x-csrf": "1"})).status_code for _ in range(times)}

    async def dropped(self) -> int:
        async with plain_http(timeout=PATIENCE) as client:
            text = (await client.get(f"{self.management}/metrics")).text
        (value,) = re.findall(r"^bff_log_records_dropped_total (\S+)$", text, re.MULTILINE)
        return int(float(value))


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[Stalled]:
    with small_pipe(full=True) as (reader, end):
        stalled = Stalled(tmp_path, reader, end)
        try:
            yield stalled
        finally:
            stalled.process.kill()
            stalled.process.wait()


async def test_every_port_answers_while_the_log_is_not_read_and_nothing_is_lost(stalled: Stalled) -> None:
    assert await stalled.statuses(f"{stalled.management}/livez", 1) == {200}
    assert await stalled.statuses(f"{stalled.public}/api/x", 200) == {401}
    assert await stalled.statuses(f"{stalled.management}/livez", 1) == {200}
    assert await stalled.dropped() == 0, "it is all in the queue"
    os.close(stalled.end)
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(lines_of(stalled.reader)), daemon=True)
    reading.start()
    await until(lambda: sum("request failed" in line for line in lines) >= 200)
    stalled.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(stalled.process.wait, PATIENCE) == 0
    reading.join(PATIENCE)
    lines[0] = lines[0].lstrip("x")  # what had filled the pipe
    assert "listening" in [json.loads(line)["message"] for line in lines]


async def test_it_ends_in_order_if_the_log_is_never_read(stalled: Stalled) -> None:
    assert await stalled.statuses(f"{stalled.public}/api/x", 1) == {401}
    stalled.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(stalled.process.wait, PATIENCE) == 0
