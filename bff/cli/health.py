"""`bff health`: asks the process that runs with the same settings whether it is alive."""

import http.client
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from bff.cli import exit_codes, output
from bff.cli.options import environment, settings_source
from bff.config import validators
from bff.config.field_types import Address
from bff.config.section import leaves
from bff.config.server import OFF, ServerSettings
from bff.config.sources import gather

TIMEOUT: Final = 2.0  # seconds
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@click.command(short_help="Ask the running process whether it is alive.")
@settings_source
@click.option("--ready", is_flag=True, help="Ask for /readyz instead of /livez.")
def command(config: Path | None, env_file: Path | None, ready: bool) -> int:
    """Ask the process that runs with these settings on this machine whether it is alive.

    Requests /livez of the management port. If that port is off, any response of the public port is enough. For a health
    check of a container. Reads only the addresses, so a secret that is being replaced does not make it fail.
    """
    management, public = _addresses(environment(env_file), config)
    target = "/readyz" if ready else "/livez"
    try:
        if management != OFF:
            status = _status(validators.address(management), target)
            alive, asked = status == 200, f"{management} responded to {target} with {status}"
        else:
            status = _status(validators.address(public), "/auth/session")
            alive, asked = True, f"{public} responded with {status}; the management port is off"
    except (OSError, ValueError, http.client.HTTPException) as error:
        alive, asked = False, f"{public if management == OFF else management} does not respond: {error}"
    output.line(f"{'healthy' if alive else 'unhealthy'}: {asked}")
    return exit_codes.OK if alive else exit_codes.FAILED


def _addresses(environ: Mapping[str, str], config: Path | None) -> tuple[str, str]:
    """The management and the public address. Problems of other settings do not matter here."""
    values = gather(environ, config, leaves(ServerSettings)).values
    defaults = ServerSettings()
    return (
        str(values.get("management_listen", defaults.management_listen)),
        str(values.get("listen", defaults.listen)),
    )


def _status(address: Address, target: str) -> int:
    """Raises OSError, or HTTPException for what is not HTTP."""
    connection = _Connection(address)
    with closing(connection):
        connection.request("GET", target, headers={"Host": "localhost"})
        return connection.getresponse().status


class _Connection(http.client.HTTPConnection):
    """To a TCP address, or to a Unix socket."""

    def __init__(self, address: Address) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._address = address

    def connect(self) -> None:
        if isinstance(self._address, Path):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(TIMEOUT)
            self.sock.connect(str(self._address))
        else:
            host, port = self._address
            self.sock = socket.create_connection((_LOOPBACK.get(host, host), port), TIMEOUT)
