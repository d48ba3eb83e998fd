"""Who is the client? The peer of the connection, unless the peer is a proxy that the operator trusts."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

UNKNOWN: Final = "unknown"  # the word of RFC 7239 section 6.2
UNIX: Final = "unix"  # whoever may open our Unix socket; such a peer has no address


def _is_address(text: str) -> bool:
    """Whether a claim is an IP address. One with a zone (`fe80::1%eth0`, RFC 4007) means something on one machine."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _without_zone(peer: str) -> str:
    """The kernel names the interface of a link-local peer, which nobody but this machine can make anything of."""
    return peer.partition("%")[0]


class TrustedProxies:
    """Addresses, networks and `unix`, whose `X-Forwarded-For` is believed. Raises ValueError for anything else."""

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
        """Whether this peer of a connection is one of them; None is the peer of a Unix socket."""
        return self._unix if peer is None else bool(self._networks) and self._trusts(_without_zone(peer))

    def known_client(self, peer: str | None, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
        """The client's address if it is the client's for sure; None where it may be that of a proxy nobody named.

        Sessions need https and we speak none, so people come through a proxy. Without trusted proxies every address
        is that proxy's; with some, a private address that speaks to us directly is likely one that was forgotten.
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
        """The nearest address that is not a trusted proxy's, read from the right: the rest is anybody's claim."""
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
