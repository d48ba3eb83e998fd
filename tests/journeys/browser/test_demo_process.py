"""`python -m demo` as a process: it starts completely, prints one line, and leaves nothing behind."""

import os
import re
import signal
import socket

import pytest

from tests.harness.ports import free_ports
from tests.harness.running_demo import DemoProcess, children_of, is_running

pytestmark = pytest.mark.xdist_group("browser")


def test_with_a_taken_port_it_takes_another_and_when_one_of_its_processes_dies_it_stops_with_an_error() -> None:
    port = free_ports(6)  # one more than it wants, for the one that it chooses instead
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        demo = DemoProcess(port=port)
        assert demo.wait_until_ready().url != f"http://localhost:{port}"
    children = children_of(demo.process.pid)
    assert len(children) == 3
    os.kill(children[1], signal.SIGKILL)
    _, errors = demo.process.communicate(timeout=120)
    assert demo.process.returncode == 1
    assert "The demo stopped. The sample API ended on its own, with exit code -9." in errors
    assert not any(is_running(child) for child in children)


def test_check_runs_the_doctor_tries_every_port_and_stops() -> None:
    demo = DemoProcess("--check")
    output, errors = demo.process.communicate(timeout=240)
    assert (demo.process.returncode, errors) == (0, "")
    assert "ok    okta " in output
    # Okta gives event streams to a service app, and the demo has an API token.
    assert "skip  security_events " in output
    assert " 0 failed, 1 skipped." in output
    assert len(re.findall(r"(?m)^ok +\d{3}  /", output)) == 8
    assert "WRONG" not in output
