"""Where connections go instead of the host in a URL.

Only the address of the socket changes: the Host header, the TLS server name and the name that the certificate must have
stay the URL's, and connections of two hosts are never shared, whatever their addresses.
"""

from collections.abc import Iterable
from typing import Final

from bff.config.provider_addresses import HostAndPort, ProviderAddress


class AddressMap:
    """An entry with a port takes precedence over one for every port of its host."""

    def __init__(self, addresses: Iterable[ProviderAddress] = ()) -> None:
        self._addresses = {entry.named: entry.address for entry in addresses}

    def of(self, host: str, port: int) -> tuple[str, int]:
        """The address and port to connect to: those given, if there is no entry."""
        exact, any_port = HostAndPort(host, port), HostAndPort(host, None)
        address = self._addresses.get(exact) or self._addresses.get(any_port) or exact
        return address.host, address.port or port


NO_ADDRESSES: Final = AddressMap()
