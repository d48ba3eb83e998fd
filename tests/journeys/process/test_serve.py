"""`bff serve`: two ports in one process, and an orderly end. Real processes, real sockets, real signals."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.harness.places import ROOT

PATIENCE = 60  # seconds; a limit that fails a test, not something to wait for


class Served:
    """The process, and the addresses that its first log line tells."""

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
            if self.lines[-1]["message"] == "Application startup complete.":
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
    served = Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0")
    yield served
    if served.process.poll() is None:
        served.end()


def get(url: str, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
        return client.get(url, headers=headers)


def until(condition: Callable[[], bool]) -> None:
    """Asks now and then: in between the processor, and the other side's backlog, are for the other side."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_each_port_answers_its_own_paths_only(served: Served) -> None:
    assert get(f"{served.public}/metrics").text == "127.0.0.1", "the application's answer, not the metrics"
    assert get(f"{served.management}/livez").json() == {"live": True}
    assert get(f"{served.management}/auth/session").status_code == 404
    assert "bff_refresh_seconds_bucket" in get(f"{served.management}/metrics").text
    posted = httpx.post(f"{served.management}/livez", trust_env=False, timeout=PATIENCE)
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("state", "status", "checks"),
    [
        ("", 200, {"store": True, "provider": True}),
        ("provider", 200, {"store": True, "provider": False}),
        ("store", 503, {"store": False, "provider": True}),
        ("raise", 503, {"answered": False}),
        ("hang", 503, {"answered_in_time": False}),
    ],
)
def test_only_what_nothing_works_without_makes_it_not_ready(
    served: Served, state: str, status: int, checks: dict[str, bool]
) -> None:
    (served.folder / "checks").write_text(state)
    answer = get(f"{served.management}/readyz")
    assert (answer.status_code, answer.json()) == (status, {"ready": status == 200, "checks": checks})
    assert get(f"{served.management}/livez").status_code == 200
    assert "canary" not in answer.text


def test_an_answer_names_no_server_and_has_a_date(served: Served) -> None:
    headers = get(served.public).headers
    assert "server" not in headers
    assert "date" in headers


def test_forwarded_headers_do_not_change_who_the_client_is(served: Served) -> None:
    assert get(served.public, **{"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}).text == "127.0.0.1"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_with_nought(served: Served, number: signal.Signals) -> None:
    assert served.end(number) == 0
    assert (served.folder / "stopped").exists(), "the lifespan was closed"


def test_what_is_under_way_is_answered_and_probes_are_until_then(served: Served) -> None:
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(get(f"{served.public}/slow")))
    asking.start()
    until((served.folder / "asked").exists)
    served.process.send_signal(signal.SIGTERM)
    host, port = served.public.removeprefix("http://").split(":")
    until(lambda: not can_connect(host, int(port)))
    assert get(f"{served.management}/livez").status_code == 200
    (served.folder / "go").touch()
    asking.join()
    assert [answer.status_code for answer in answers] == [200]
    assert served.wait() == 0


def can_connect(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port)).close()
    except (ConnectionRefusedError, ConnectionResetError):  # closed before, or between, the kernel and accept()
        return False
    return True


def test_no_request_line_is_logged(served: Served) -> None:
    get(f"{served.public}/authorization-code/callback?code=canary-code&state=canary-state")
    served.end()
    assert "canary" not in json.dumps(served.lines)


def test_the_management_port_can_be_off(tmp_path: Path) -> None:
    served = Served(tmp_path, "127.0.0.1:0", "off")
    assert served.management == "http://off"
    assert get(served.public).status_code == 200
    assert served.end() == 0


def test_a_start_that_fails_ends_with_three(tmp_path: Path) -> None:
    assert Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0", SERVED_FAIL="1").wait() == 3


def test_a_port_that_is_taken_is_told_by_its_setting(tmp_path: Path) -> None:
    from bff.errors import ConfigurationError
    from bff.server.listeners import bind

    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ConfigurationError) as told:
            bind("BFF_LISTEN", taken.getsockname())
        assert told.value.setting == "BFF_LISTEN"
        assert "listened on" in told.value.problem


def over_unix(path: Path) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), trust_env=False, timeout=PATIENCE) as client:
        return client.get("http://bff/")


def test_it_listens_on_a_unix_socket_for_its_owner_and_group_and_takes_it_away(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    served = Served(tmp_path, f"unix:{path}", f"unix:{tmp_path / 'management.sock'}")
    assert served.public == f"http://unix:{path}"
    assert path.stat().st_mode & 0o777 == 0o660
    assert over_unix(path).text == "None", "a peer without an address"
    assert over_unix(tmp_path / "management.sock").status_code == 404
    assert served.end() == 0
    assert not path.exists()


def test_a_socket_left_by_a_killed_process_is_replaced_and_one_in_use_is_not(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    killed = Served(tmp_path, f"unix:{path}", "off")
    killed.end(signal.SIGKILL)
    assert path.exists()
    served = Served(tmp_path, f"unix:{path}", "off")
    second = Served(tmp_path, f"unix:{path}", "off")
    assert second.wait() == 1
    assert over_unix(path).status_code == 200
    assert served.end() == 0


def test_a_process_that_replaced_the_socket_keeps_it_when_the_old_one_ends(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    old = Served(tmp_path, f"unix:{path}", "off")
    path.unlink()
    new = Served(tmp_path, f"unix:{path}", "off")
    assert old.end() == 0
    assert over_unix(path).status_code == 200
    assert new.end() == 0


def test_it_says_not_ready_first_and_goes_on_answering_until_the_delay_is_over(tmp_path: Path) -> None:
    served = Served(tmp_path, "127.0.0.1:0", "127.0.0.1:0", "300")
    served.process.send_signal(signal.SIGTERM)
    until(lambda: get(f"{served.management}/readyz").status_code != 200)
    assert get(f"{served.management}/livez").status_code == 200
    assert get(served.public).status_code == 200
    assert not (tmp_path / "streams-ended").exists(), "whoever came back would reach this process again"
    served.process.send_signal(signal.SIGTERM)  # the second time nothing is waited for
    assert served.wait() == 0
    assert (tmp_path / "streams-ended").exists()
