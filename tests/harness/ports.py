"""Ports for processes that are told where to listen, and begin to only a while later."""

import os
import random
import re
import socket
from collections.abc import Iterator
from itertools import cycle

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


def free_port() -> int:
    """One that nobody listens on, and that this process has not given away for a thousand calls."""
    for port in _PORTS:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
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
