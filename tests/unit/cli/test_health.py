"""`bff health`: alive or not, by the addresses of the settings."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.harness.bff_command import call_bff
from tests.harness.ports import free_port


class Process(BaseHTTPRequestHandler):
    statuses: ClassVar[dict[str, int]] = {"/livez": 200, "/readyz": 503, "/auth/session": 401}

    def do_GET(self) -> None:
        self.send_response(self.statuses.get(self.path, 404))
        self.end_headers()

    def address_string(self) -> str:
        return "test"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        pass


class UnixServer(HTTPServer):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Process)
    with serving(server):
        yield server.server_port


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--ready",), 1)])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_management_port_is_asked(port: int, host: str, arguments: tuple[str, ...], code: int) -> None:
    done = call_bff("health", *arguments, environ={"BFF_MANAGEMENT_LISTEN": f"{host}:{port}"})
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.startswith("healthy: " if code == 0 else "unhealthy: ")


def test_without_a_management_port_any_response_of_the_public_one_is_enough(port: int) -> None:
    done = call_bff("health", environ={"BFF_MANAGEMENT_LISTEN": "off", "BFF_LISTEN": f"127.0.0.1:{port}"})
    assert (done.returncode, "management port is off" in done.stdout) == (0, True)


@pytest.mark.parametrize("management", ["127.0.0.1:{}", "off"])
def test_no_response_is_unhealthy(management: str) -> None:
    closed = free_port()
    environ = {"BFF_MANAGEMENT_LISTEN": management.format(closed), "BFF_LISTEN": f"127.0.0.1:{closed}"}
    done = call_bff("health", environ=environ)
    assert (done.returncode, "does not respond" in done.stdout) == (1, True)


def test_the_file_names_the_address_and_other_settings_do_not_matter(tmp_path: Path, port: int) -> None:
    (tmp_path / "bff.toml").write_text(f"management_listen = '127.0.0.1:{port}'\nno_such_setting = 1\n")
    done = call_bff("health", environ={"BFF_CLIENT_SECRET_FILE": "/nowhere", "BFF_TYPO": "x"}, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serving(UnixServer(str(path), Process)):
        assert call_bff("health", environ={"BFF_MANAGEMENT_LISTEN": f"unix:{path}"}).returncode == 0
    assert call_bff("health", environ={"BFF_MANAGEMENT_LISTEN": f"unix:{path}"}).returncode == 1


def test_an_invalid_address_is_unhealthy() -> None:
    assert call_bff("health", environ={"BFF_MANAGEMENT_LISTEN": "nowhere"}).returncode == 1
