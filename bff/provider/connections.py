"""Connections to the provider, one pool per purpose, so that a slow or flooded purpose does not delay another.

A refresh keeps a user signed in, so it must not queue behind sign-ins, which anybody can start. A revocation is not
urgent, so it must not take a connection from either.
"""

from typing import Final, Literal, TypeAlias

from bff.config.provider import TransportSettings
from bff.provider.addresses import AddressMap
from bff.provider.http import HttpClient
from bff.provider.http1_client import Http1Client

ProviderClient: TypeAlias = HttpClient | Http1Client
Purpose: TypeAlias = Literal["refresh", "sign_in", "exchange", "revocation", "documents"]

SIGN_INS: Final = 50  # concurrent code exchanges, pushed requests and UserInfo requests
EXCHANGES: Final = 30  # concurrent token exchanges of one process
REVOCATIONS: Final = 8
DOCUMENTS: Final = 4  # metadata and keys: each is fetched once for all callers
# By far the most requests, so they go over connections that cost less processor time.
FREQUENT: Final[frozenset[Purpose]] = frozenset({"refresh", "exchange", "revocation"})
SPARE: Final = 10  # connections beyond the running refreshes: a cancelled one may still be closing


class ProviderConnections:
    def __init__(self, transport: TransportSettings, *, refreshes: int = 20) -> None:
        """`refreshes` is the maximum number of concurrent refreshes."""
        self.timeout = transport.timeout  # seconds for one request
        self.endpoints = transport.endpoints
        sizes: dict[Purpose, int] = {
            "refresh": refreshes + SPARE,
            "sign_in": SIGN_INS,
            "exchange": EXCHANGES,
            "revocation": REVOCATIONS,
            "documents": DOCUMENTS,
        }
        self._pools = {
            purpose: open_client(transport, connections=size, frequent=purpose in FREQUENT)
            for purpose, size in sizes.items()
        }

    def of(self, purpose: Purpose) -> ProviderClient:
        return self._pools[purpose]

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()


def open_client(transport: TransportSettings, *, connections: int, frequent: bool = False) -> ProviderClient:
    """A client with at most so many connections. Raises OSError if the CA file cannot be read.

    A tunnel through a proxy is httpx's; another address than the URL's is possible on our own connections only.
    """
    if transport.proxy is None and (frequent or transport.address_map):
        addresses = AddressMap(transport.address_map)
        return Http1Client(ca_file=transport.ca_file, addresses=addresses, connections=connections)
    return HttpClient(proxy=transport.proxy, ca_file=transport.ca_file, connections=connections)
