"""Ports for processes that are told where to listen, and begin to only a while later."""

import fcntl
import os
import random
import re
import socket
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

# Below what the kernel hands out by itself (from 32768 unless told otherwise): no outgoing connection, and no test that
# listens on port 0, can take one of these between its choice and its use.
FIRST, BEHIND = 16384, 32768
WORKERS = 16  # of pytest-xdist at most; each has a range of its own


def _own() -> Iterator[int]:
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0) % WORKERS
    size = (BEHIND - FIRST) // WORKERS
    ports = list(range(FIRST + worker * size, FIRST + (worker + 1) * size))
    start = random.randrange(size)
    return cycle(ports[start:] + ports[:start])


_PORTS = _own()
# The byte at the offset of a port is locked by the process that has chosen it, so that two runs beside each other do
# not choose the same one.
_CHOSEN = (Path(tempfile.gettempdir()) / f"okta-bff-test-ports-{os.getuid()}").open("ab")


def free_port() -> int:
    """One that no process listens on or has chosen, and that this one has not given away for a thousand calls."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                fcntl.lockf(_CHOSEN, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                continue
            return port
    raise AssertionError("unreachable: a cycle has no end")


def free_ports(count: int) -> int:
    """The first of so many in a row."""
    while True:
        ports = [free_port() for _ in range(count)]
        if ports == list(range(ports[0], ports[0] + count)):
            return ports[0]
