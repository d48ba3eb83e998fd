"""The listening sockets of `bff serve`: TCP addresses and Unix sockets, bound before the start so that a wrong address
is reported at once.
"""

import contextlib
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from bff.config.field_types import Address
from bff.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Bound:
    """`path` and `inode` are those of a Unix socket's file."""

    socket: socket.socket
    path: Path | None = None
    inode: int = 0


def bind(setting: str, address: Address) -> Bound:
    """Raises ConfigurationError, naming `setting`, for an address that cannot be bound."""
    return _unix(setting, address) if isinstance(address, Path) else Bound(_tcp(setting, address))


def describe(bound: Bound | None) -> str:
    """The address as log lines show it."""
    if bound is None:
        return "off"
    if bound.path is not None:
        return f"unix:{bound.path}"
    host, port = bound.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def remove_socket_file(bound: Bound | None) -> None:
    """Removes the file of a Unix socket, unless another process has replaced it."""
    if bound is not None and bound.path is not None:
        with contextlib.suppress(OSError):
            if bound.path.stat().st_ino == bound.inode:
                bound.path.unlink()


def _tcp(setting: str, address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        # create_server sets SO_REUSEADDR, and closes the socket when binding fails.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        both = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address, family=family, dualstack_ipv6=both)
    except OSError as error:
        problem = f"{host}:{port} cannot be listened on: {error.strerror}."
        raise ConfigurationError(setting, problem, "Choose a free port and an address of this machine.") from None


def _unix(setting: str, path: Path) -> Bound:
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale(path):
            path.unlink()
        bound.bind(str(path))
        # Readable and writable by owner and group: the proxy runs in that group. Any process that can connect is
        # trusted as a proxy.
        path.chmod(0o660)
        bound.listen(socket.SOMAXCONN)
    except OSError as error:
        bound.close()
        problem = f"unix:{path} cannot be listened on: {error.strerror}."
        fix = "Choose a path in a folder that this process may write to, and where nothing else listens."
        raise ConfigurationError(setting, problem, fix) from None
    return Bound(bound, path, path.stat().st_ino)


def _is_stale(path: Path) -> bool:
    """Whether the path is a stale socket: its process was killed and nothing listens on it."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    return True
    return False
