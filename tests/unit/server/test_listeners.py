"""The addresses of `bff serve`: bound at the start, or refused by the name of their setting."""

import socket
import stat
from pathlib import Path

import pytest

from bff.errors import ConfigurationError
from bff.server.listeners import bind, describe, remove_socket_file


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("::", "[::]")])
def test_a_tcp_address_is_bound_and_described(host: str, shown: str) -> None:
    bound = bind("BFF_LISTEN", (host, 0))
    with bound.socket:
        port = bound.socket.getsockname()[1]
        assert describe(bound) == f"{shown}:{port}"
        with pytest.raises(ConfigurationError, match=r"BFF_LISTEN: .*cannot be listened on"):
            bind("BFF_LISTEN", (host, port))
        if host == "::":  # IPv4 too
            socket.create_connection(("127.0.0.1", port)).close()
    assert describe(None) == "off"


def test_a_unix_socket_is_for_owner_and_group_and_its_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    bound = bind("BFF_LISTEN", path)
    with bound.socket:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert describe(bound) == f"unix:{path}"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    remove_socket_file(bound)
    assert not path.exists()
    remove_socket_file(bound)
    remove_socket_file(None)


def test_a_stale_socket_is_replaced_and_the_file_of_another_process_kept(tmp_path: Path) -> None:
    path = tmp_path / "bff.sock"
    killed = bind("BFF_LISTEN", path)
    killed.socket.close()
    bound = bind("BFF_LISTEN", path)
    with bound.socket:
        path.rename(tmp_path / "moved")  # so that its inode is not used again
        path.touch()
        remove_socket_file(bound)
        assert path.exists()


@pytest.mark.parametrize("occupied", ["listening", "a file", "no folder"])
def test_a_path_that_cannot_be_used_is_refused(tmp_path: Path, occupied: str) -> None:
    path = tmp_path / ("missing/bff.sock" if occupied == "no folder" else "bff.sock")
    if occupied == "a file":
        path.write_text("data")
    with socket.socket(socket.AF_UNIX) as other:
        if occupied == "listening":
            other.bind(str(path))
            other.listen()
        with pytest.raises(ConfigurationError, match=r"BFF_MANAGEMENT_LISTEN: unix:.* cannot be listened on"):
            bind("BFF_MANAGEMENT_LISTEN", path)
    assert occupied != "a file" or path.read_text() == "data"
