"""Every port of `bff serve` frames alike: nothing behind an upgrade is taken for a request."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.waiting import PATIENCE
from tests.journeys.process.test_serve import Served

HIDDEN = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
HEADS = {
    "a body": (b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: %d\r\n" % len(HIDDEN), [b"400"]),
    "nothing": (b"Upgrade: h2c\r\nConnection: Upgrade\r\n", [b"200"]),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("served")
    served = Served(folder, "127.0.0.1:0", "127.0.0.1:0", SERVED_FORWARD_AUTH="127.0.0.1:0")
    yield served
    served.end()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("setting", ["address", "management", "forward_auth"])
def test_no_port_serves_a_request_behind_an_upgrade(served: Served, setting: str, name: str) -> None:
    listening = next(line for line in served.lines if line["message"] == "listening")
    host, _, port = str(listening[setting]).rpartition(":")
    fields, statuses = HEADS[name]
    received = b""
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        # The body comes in a read of its own: the answer, or a part of it, is there before it is sent.
        received += client.recv(65536)
        try:
            client.sendall(HIDDEN)
            while piece := client.recv(65536):
                received += piece
        except ConnectionError:
            pass  # it is closed already
    assert [line.split()[1] for line in received.split(b"\n") if line.startswith(b"HTTP/1.1 ")] == statuses
