"""Connections to the provider, one pool per purpose, so that a slow or flooded purpose does not delay another.

A refresh keeps a user signed in, so it must not queue behind sign-ins, which anybody can start. A revocation is not
urgent, so it must not take a connection from either.
"""

from typing import Final, Literal, TypeAlias

from bff.config.provider import TransportSettings
from bff.provider.http import HttpClient
from bff.provider.http1_client import Http1Client

Purpose: TypeAlias = Literal["refresh", "sign_in", "revocation", "documents"]

SIGN_INS: Final = 50  # concurrent code exchanges, pushed requests and UserInfo requests
REVOCATIONS: Final = 8
DOCUMENTS: Final = 4  # metadata and keys: each is fetched once for all callers
# By far the most requests, so they go over connections that cost less processor time.
FREQUENT: Final[frozenset[Purpose]] = frozenset({"refresh", "revocation"})
SPARE: Final = 10  # connections beyond the running refreshes: a cancelled one may still be closing


class ProviderConnections:
    def __init__(self, transport: TransportSettings, *, refreshes: int = 20) -> None:
        """`refreshes` is the maximum number of concurrent refreshes."""
        self.timeout = transport.timeout  # seconds for one request
        sizes: dict[Purpose, int] = {
            "refresh": refreshes + SPARE,
            "sign_in": SIGN_INS,
            "revocation": REVOCATIONS,
            "documents": DOCUMENTS,
        }
        self._pools = {purpose: _pool(purpose, size, transport) for purpose, size in sizes.items()}

    def of(self, purpose: Purpose) -> HttpClient | Http1Client:
        return self._pools[purpose]

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()


# A tunnel through a proxy is httpx's.
def _pool(purpose: Purpose, size: int, transport: TransportSettings) -> HttpClient | Http1Client:
    if purpose in FREQUENT and transport.proxy is None:
        return Http1Client(ca_file=transport.ca_file, connections=size)
    return HttpClient(proxy=transport.proxy, ca_file=transport.ca_file, connections=size)
