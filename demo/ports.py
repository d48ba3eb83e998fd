"""The five ports of the demo, and the URLs that follow from them."""

import socket
from dataclasses import dataclass
from typing import Final

LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Ports:
    bff: int
    okta: int
    control: int
    api: int
    other_client: int

    @classmethod
    def choose(cls, preferred: int) -> "Ports":
        taken: set[int] = set()
        return cls(*(_free_port(preferred + i if preferred else 0, taken) for i in range(5)))

    @property
    def public_url(self) -> str:
        """`localhost` here and 127.0.0.1 for Okta: two different sites to a browser, as in production."""
        return f"http://localhost:{self.bff}"

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.okta}/oauth2/default"


def _free_port(preferred: int, taken: set[int]) -> int:
    """The preferred port if it is free on IPv4 and IPv6 (browsers try both for localhost), otherwise the next.

    Not an ephemeral port: until our process listens there, an outgoing connection may take it.
    """
    while True:
        port = preferred if preferred <= LAST_PORT else 0
        if port in taken or (port and any(_in_use(family, port) for family in (socket.AF_INET, socket.AF_INET6))):
            preferred += 1
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            port = int(probe.getsockname()[1])
        if port not in taken:
            taken.add(port)
            return port


def _in_use(family: socket.AddressFamily, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
    except OSError as error:
        # Without IPv6 the port is free there.
        return family == socket.AF_INET or error.strerror == "Address already in use"
    return False
