"""A served application as a process: its two ports, Unix sockets, signals, and an orderly end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.harness.places import ROOT
from tests.harness.plain_http import plain_http
from tests.harness.waiting import PATIENCE, until


class Served:
    """The process, and the addresses that it logs."""

    def __init__(self, folder: Path, *addresses: str, **environ: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.served", *addresses],
            env={**os.environ, "SERVED_FOLDER": str(folder), **environ},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, object]] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(json.loads(line) if line.startswith("{") else {"message": line.strip()})
            if str(self.lines[-1]["message"]).startswith("ready: open "):
                break
        listening = next((line for line in self.lines if line["message"] == "listening"), {})
        self.public = f"http://{listening.get('address')}"
        self.management = f"http://{listening.get('management')}"
        self._rest = threading.Thread(target=self._read_on)
        self._rest.start()

    def _read_on(self) -> None:
        assert self.process.stderr is not None
        self.lines += [json.loads(line) for line in self.process.stderr if line.startswith("{")]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=PATIENCE)
        self._rest.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with ended(Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0")) as served:
        yield served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """For tests that only ask it."""
    with ended(Served(tmp_path_factory.mktemp("served"), "127.0.0.1:0", "127.0.0.1:0")) as served:
        yield served


@contextmanager
def ended(served: Served) -> Iterator[Served]:
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.end(signal.SIGKILL)


def get(url: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, verify=False, timeout=PATIENCE) as client:  # without TLS
        return client.get(url, headers=headers)


def test_the_log_says_once_where_it_is_ready_and_nothing_of_the_server_below(served: Served) -> None:
    assert [line["message"] for line in served.lines] == ["listening", "ready: open http://localhost"]
    assert served.end() == 0
    assert not [line for line in served.lines if str(line.get("logger")).startswith("uvicorn")]


def test_each_port_answers_its_own_paths_only(shared: Served) -> None:
    assert get(f"{shared.public}/metrics").text == "127.0.0.1", "the application's answer, not the metrics"
    assert get(f"{shared.management}/livez").json()["live"] is True
    assert get(f"{shared.management}/auth/session").status_code == 404
    assert "bff_refresh_seconds_bucket" in get(f"{shared.management}/metrics").text
    posted = httpx.post(f"{shared.management}/livez", trust_env=False, verify=False, timeout=PATIENCE)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


def test_a_response_has_a_date_and_names_no_server(shared: Served) -> None:
    headers = get(shared.public).headers
    assert "server" not in headers
    assert "date" in headers


def test_forwarded_headers_do_not_change_who_the_client_is(shared: Served) -> None:
    assert get(shared.public, **{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}).text == "127.0.0.1"


async def test_requests_and_probes_are_answered_until_the_end(served: Served) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(get(f"{served.public}/slow")))
    asking.start()
    await until((served.folder / "requested").exists)
    served.process.send_signal(signal.SIGTERM)
    host, port = served.public.removeprefix("http://").split(":")
    await until(lambda: not can_connect(host, int(port)))
    assert get(f"{served.management}/livez").status_code == 200
    (served.folder / "go").touch()
    asking.join()
    assert [answer.status_code for answer in answers] == [200]
    assert served.wait() == 0
    assert (served.folder / "stopped").exists(), "the lifespan was closed"


def can_connect(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port)).close()
    except (ConnectionRefusedError, ConnectionResetError):  # closed before, or between, the kernel and accept()
        return False
    return True


def test_no_request_line_is_logged(served: Served) -> None:
    get(f"{served.public}/authorization-code/callback?code=canary-code&state=canary-state")
    assert served.end(signal.SIGINT) == 0
    assert (served.folder / "stopped").exists(), "the lifespan was closed"
    assert "canary" not in json.dumps(served.lines)


def test_a_failed_start_ends_with_3(tmp_path: Path) -> None:
    assert Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0", SERVED_FAIL="1").wait() == 3


def over_unix(path: Path) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), trust_env=False, timeout=PATIENCE) as client:
        return client.get("http://bff/")


def test_a_unix_socket_is_for_owner_and_group_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    served = Served(tmp_path, f"unix:{path}", f"unix:{tmp_path / 'management.sock'}")
    assert served.public == f"http://unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o660
    assert over_unix(path).text == "None", "a peer without an address"
    assert over_unix(tmp_path / "management.sock").status_code == 404
    assert served.end() == 0
    assert not path.exists()


def test_a_socket_of_a_killed_process_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    killed = Served(tmp_path, f"unix:{path}", "off")
    killed.end(signal.SIGKILL)
    assert path.exists()
    served = Served(tmp_path, f"unix:{path}", "off")
    assert served.management == "http://off"
    second = Served(tmp_path, f"unix:{path}", "off")
    assert second.wait() == 1
    assert over_unix(path).status_code == 200
    assert served.end() == 0


async def test_it_is_not_ready_and_goes_on_answering_until_the_drain_delay_is_over(tmp_path: Path) -> None:
    served = Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0", "300")
    served.process.send_signal(signal.SIGTERM)
    await until(lambda: get(f"{served.management}/readyz").status_code != 200)
    assert get(f"{served.management}/livez").status_code == 200
    assert get(served.public).status_code == 200
    assert not (tmp_path / "streams-ended").exists(), "whoever came back would reach this process again"
    served.process.send_signal(signal.SIGTERM)  # the second time nothing is waited for
    assert served.wait() == 0
    assert (tmp_path / "streams-ended").exists()


async def test_a_process_whose_event_loop_is_blocked_ends_itself(tmp_path: Path) -> None:
    """The thread needs no turn of the loop; a supervisor starts the process again."""
    with ended(Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0", SERVED_WATCHDOG="10")) as served:
        assert get(f"{served.management}/livez").json()["live"] is True
        async with plain_http(timeout=PATIENCE) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"{served.public}/block")
        assert served.wait() == 4
        (line,) = [line for line in served.lines if "stands still" in str(line["message"])]
        assert "served.py" in str(line["place"])
