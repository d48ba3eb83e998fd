"""`make bench-gate` counts instructions per request of three fixed scenarios, and compares them with committed figures.

Instructions under callgrind do not depend on what else runs on the machine, nor on its speed, so 3 % more is a change
of the program. They depend on the Python build and the libraries: the figures name the version that they belong to. The
kernel's part of a request is not among them. `--keep` saves the profiles, which `callgrind_annotate` shows.
"""

import argparse
import json
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from typing import Any, Final

from bench import callgrind, stored_sessions
from bench.contenders import OURS_COOKIE, SERVE, ours, store_url
from bench.processes import ROOT, Child, until
from bench.world import World, answers

FIGURES: Final = ROOT / "bench" / "instructions.json"
TOLERANCE: Final = 0.03
SESSIONS: Final = 16
WARM_UP: Final = 400  # requests that fill the caches, and let the interpreter specialize its code
FORWARD_AUTH: Final = {
    "BFF_FORWARD_AUTH_LISTEN": "127.0.0.1:{world.forward_auth}",
    "BFF_TRUSTED_PROXIES": "127.0.0.1",
}
# What Chromium sends with a fetch of a page's own origin.
HEADERS: Final = (
    "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Accept: application/json",
    "X-CSRF: 1",
    "Sec-Fetch-Site: same-origin",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    "Referer: http://localhost/items",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-GB,en;q=0.9",
)


def _has_started(child: Child, world: World) -> bool:
    """Raises RuntimeError if it has ended instead."""
    if child.process.poll() is not None:
        raise RuntimeError(child.log.read_text())
    return answers(f"{world.url}/")


class Client:
    """A connection that sends one request after another: how many of several connections are served in one turn of the
    event loop would depend on the machine.
    """

    def __init__(self, port: int, head: str, cookies: Sequence[str]) -> None:
        """`head`: the request line and the headers of this scenario, without the cookie."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._requests = cycle(f"{head}\r\nCookie: {cookie}\r\n\r\n".encode() for cookie in cookies)

    def run(self, requests: int) -> None:
        """Raises RuntimeError for a response other than 200."""
        for _ in range(requests):
            self._socket.sendall(next(self._requests))
            _read_response(self._socket)

    def close(self) -> None:
        self._socket.close()


def _read_response(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(head.decode("latin-1"))
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0]) - len(body) if lengths else 0
    while left > 0:
        left -= len(_receive(connection))


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise RuntimeError("the server closed a connection")
    return data


def measure(store: str, *, verify: bool, requests: int, keep: Path | None) -> int:
    """Instructions per request. `verify`: forward-auth instead of the API proxy."""
    with tempfile.TemporaryDirectory(prefix="bff-bench-") as name, ExitStack() as stack:
        directory = Path(name)
        directory.chmod(0o755)
        world = World(directory, stack)
        world.start()
        stored_sessions.fill(world, store_url(world, store), OURS_COOKIE, sessions=SESSIONS, busy=SESSIONS)
        cookies = (directory / "cookies.txt").read_text().split()
        verify_settings = {
            "BFF_FORWARD_AUTH_LISTEN": "127.0.0.1:{world.forward_auth}",
            "BFF_TRUSTED_PROXIES": "127.0.0.1",
        }
        more = verify_settings if verify else {}
        child = ours(store, "0-1", command=(*callgrind.command(directory), *SERVE), **more)(world)
        until(lambda: _has_started(child, world), "the BFF under callgrind", timeout=600)
        fields = [f"Host: localhost:{world.public}", *HEADERS]
        if verify:
            fields += ["X-Original-Method: GET", "X-Original-URI: /api/kib"]
        head = "\r\n".join([f"GET {'/auth/verify' if verify else '/api/kib'} HTTP/1.1", *fields])
        client = Client(world.forward_auth if verify else world.public, head, cookies)
        try:
            client.run(WARM_UP)
            with callgrind.counted(child, directory) as result:
                client.run(requests)
        finally:
            client.close()
        if keep is not None and result.profile is not None:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(result.profile, keep / f"{'verify' if verify else store}.callgrind")
        return round(result.instructions / requests)


SCENARIOS: Final[dict[str, dict[str, Any]]] = {
    "api, sqlite": {"store": "sqlite", "verify": False},
    "api, redis": {"store": "redis", "verify": False},
    "forward-auth, sqlite": {"store": "sqlite", "verify": True},
}


def environment() -> dict[str, str]:
    """What the figures depend on beside the code of this repository; libraries are pinned by it."""
    return {"python": platform.python_version(), "machine": platform.machine()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--only", help="scenarios whose name contains this")
    parser.add_argument("--keep", type=Path, help="a directory for the profiles, for callgrind_annotate")
    parser.add_argument("--write", action="store_true", help="make the measured figures the committed ones")
    options = parser.parse_args()
    committed: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"environment": environment()}
    comparable = committed["environment"] == environment()
    if not comparable:
        print(f"The committed figures are from {committed['environment']}, this is {environment()}.")
    failed = False
    for name, scenario in SCENARIOS.items():
        if options.only and options.only not in name:
            continue
        measured = measure(**scenario, requests=options.requests, keep=options.keep)
        line, known = f"{name}: {measured:,} instructions a request", committed.get(name)
        if known is not None and comparable:
            change = measured / known - 1
            line += f", {change:+.1%}"
            if abs(change) > TOLERANCE:
                failed = failed or not options.write
                line += ": MORE" if change > 0 else ": LESS, commit it with --write"
        print(line, flush=True)
        committed[name] = measured
    if options.write:
        FIGURES.write_text(json.dumps({**committed, "environment": environment()}, indent=2) + "\n")
    return int(failed or (not comparable and not options.write))


if __name__ == "__main__":
    sys.exit(main())
