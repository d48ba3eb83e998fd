"""`python -m demo` as a process: it starts whole, says one line, and leaves nothing behind."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.harness.ports import free_ports
from tests.harness.running_demo import DemoProcess

pytestmark = pytest.mark.xdist_group("browser")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_in_good_order_and_takes_its_processes_along(by: signal.Signals) -> None:
    demo = DemoProcess()
    ready = demo.wait_until_ready()
    children = children_of(demo.process.pid)
    assert len(children) == 3
    assert demo.stop(by) == 0
    assert not any(is_running(child) for child in children)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(ready.url.rpartition(":")[2]))) != 0


def test_a_taken_port_makes_it_choose_another() -> None:
    # One more than it wants, for the one that it chooses instead.
    port = free_ports(5)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        demo = DemoProcess(port=port)
        assert demo.wait_until_ready().url != f"http://localhost:{port}"
        assert demo.stop() == 0


def test_when_one_of_its_processes_dies_it_stops_loudly() -> None:
    demo = DemoProcess()
    demo.wait_until_ready()
    children = children_of(demo.process.pid)
    os.kill(children[1], signal.SIGKILL)
    _, errors = demo.process.communicate(timeout=120)
    assert demo.process.returncode == 1
    assert "The demo stopped. The sample API ended on its own, with exit code -9." in errors
    assert not any(is_running(child) for child in children)


def test_check_asks_the_doctor_tries_every_door_and_stops() -> None:
    demo = DemoProcess("--check")
    output, errors = demo.process.communicate(timeout=240)
    assert (demo.process.returncode, errors) == (0, "")
    assert "ok    okta " in output
    assert " 0 failed, 0 skipped." in output
    assert len(re.findall(r"(?m)^ok +\d{3}  /", output)) == 7
    assert "WRONG" not in output
