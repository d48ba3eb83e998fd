"""Connections to the provider, a pool for each purpose: what is slow or flooded at one never makes another wait.

A refresh keeps somebody signed in, so it must not queue behind sign-ins that anybody can begin. A revocation has time,
so it must not take a connection from either.
"""

from pathlib import Path
from typing import Final, Literal, TypeAlias

from bff.provider.http import HttpClient

Purpose: TypeAlias = Literal["refresh", "sign_in", "revocation", "documents"]

SIGN_INS: Final = 50  # code exchanges, pushed requests and UserInfo under way at the same time
REVOCATIONS: Final = 8
DOCUMENTS: Final = 4  # metadata and keys: each is fetched once for all who ask
SPARE: Final = 10  # connections beyond the refreshes under way: one that was cut off may still be closing


class ProviderConnections:
    def __init__(self, *, proxy: str | None = None, ca_file: Path | None = None, refreshes: int = 20) -> None:
        """`refreshes`: how many of them may be under way at the same time."""
        sizes: dict[Purpose, int] = {
            "refresh": refreshes + SPARE,
            "sign_in": SIGN_INS,
            "revocation": REVOCATIONS,
            "documents": DOCUMENTS,
        }
        self._pools = {
            purpose: HttpClient(proxy=proxy, ca_file=ca_file, connections=size) for purpose, size in sizes.items()
        }

    def of(self, purpose: Purpose) -> HttpClient:
        return self._pools[purpose]

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()
