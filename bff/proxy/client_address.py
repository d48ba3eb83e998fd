"""The client's address: the peer of the connection, unless the peer is a trusted proxy."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

UNKNOWN: Final = "unknown"  # the identifier of RFC 7239 section 6.2
UNIX: Final = "unix"  # any peer that may open our Unix socket, which has no address


def _is_address(text: str) -> bool:
    """Whether a forwarded value is an IP address.

    One with a zone (`fe80::1%eth0`, RFC 4007) has a meaning on one machine only.
    """
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _without_zone(peer: str) -> str:
    """The kernel names the interface of a link-local peer, which has no meaning on other machines."""
    return peer.partition("%")[0]


class TrustedProxies:
    """Addresses, networks and `unix` whose `X-Forwarded-For` is trusted. Raises ValueError for anything else."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        named = tuple(networks)
        self._unix = UNIX in named
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(ip_network(n) for n in named if n != UNIX)
        self._trusts = lru_cache(maxsize=1024)(self._look_up)

    def _look_up(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if parsed.version == 6 and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._networks)

    def trusts(self, peer: str | None) -> bool:
        """Whether this peer is a trusted proxy; None is the peer of a Unix socket."""
        return self._unix if peer is None else bool(self._networks) and self._trusts(_without_zone(peer))

    def known_client(self, peer: str | None, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """The client's address if it is certain; None where it may be the address of an unlisted proxy.

        Sessions require https, which the BFF does not terminate, so clients come through a proxy. Without trusted
        proxies every address is that proxy's; with some, a private address that connects directly is probably a
        forgotten proxy.
        """
        address = self.client_address(peer, headers)
        try:
            parsed = ip_address(address)
        except ValueError:
            return None
        if self.trusts(peer):
            return None if self._trusts(address) else address
        return address if parsed.is_global and (self._networks or self._unix) else None

    def client_address(self, peer: str | None, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """The nearest address that is not a trusted proxy's, read from the right: anything
        further left can be forged.
        """
        if not self.trusts(peer):
            return _without_zone(peer) if peer else UNKNOWN
        claimed = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        nearest = _without_zone(peer) if peer else UNKNOWN
        for text in reversed(claimed.decode("latin-1").split(",")):
            candidate = text.strip()
            if not _is_address(candidate):
                return nearest
            nearest = candidate
            if not self._trusts(candidate):
                return nearest
        return nearest
