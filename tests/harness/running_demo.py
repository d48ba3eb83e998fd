"""`python -m demo` as a process of its own on free ports, and a hand on its simulated Okta."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.places import ROOT
from tests.harness.ports import free_ports

ACCESS_TOKEN_LIFETIME = 4  # seconds; the BFF renews after three quarters of it


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class RunningDemo:
    url: str
    login: str
    password: str

    def okta(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Asks the simulated Okta's control API, by the route that the page uses."""
        data = None if body is None else json.dumps(body).encode()
        port = self.url.rpartition(":")[2]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/simulator{path}",
            data,
            {"Host": f"localhost:{port}", "X-CSRF": "1", "Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            text = answer.read()
        read: dict[str, Any] = json.loads(text) if text else {}
        return read

    def token_requests(self) -> tuple[int, list[dict[str, Any]]]:
        """How many there have been, and the events of one and the same moment: between two questions there may be one
        more."""
        while True:
            count, events = self.okta("/state")["token_requests"], self.okta("/events?after=0")["events"]
            if self.okta("/state")["token_requests"] == count:
                return count, events


class DemoProcess:
    def __init__(
        self,
        *arguments: str,
        port: int | None = None,
        lifetime: int = ACCESS_TOKEN_LIFETIME,
        device_bound: str = "off",
    ) -> None:
        """`port` is the first of five that it would like to have; by default free ones."""
        port = free_ports(5) if port is None else port
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "DEMO_PORT": str(port),
                "DEMO_ACCESS_TOKEN_LIFETIME": str(lifetime),
                "DEMO_DEVICE_BOUND": device_bound,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> RunningDemo:
        """Reads the one line that the demo prints. Raises RuntimeError when it ends instead."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        told = re.match(r"Open (\S+) and sign in as (\S+) with the password (\S+)\. ", line)
        if told is None:
            _, errors = self.process.communicate(timeout=120)
            raise RuntimeError(f"The demo did not start: {line}{errors}")
        return RunningDemo(*told.groups())

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(by)
        self.process.communicate(timeout=120)
        return self.process.returncode
