"""Other addresses for hosts of the provider's URLs: `id.example.com=10.0.0.7`, `localhost:8080=keycloak:8080`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bff.config.validators import invalid, is_loopback

_SIDE: Final = re.compile(r"(?P<host>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class HostAndPort:
    """`port` None: any. An IPv6 address is without brackets."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class ProviderAddress:
    """Connections to `named` are opened to `address` instead; without a port of its own, to the same port."""

    named: HostAndPort
    address: HostAndPort

    @property
    def on_this_machine(self) -> bool:
        return is_loopback(self.address.host)

    @classmethod
    def parse(cls, text: str) -> "ProviderAddress":
        """Raises ValueError."""
        named, _, address = text.partition("=")
        return cls(_side(named), _side(address))


def _side(text: str) -> HostAndPort:
    match = _SIDE.fullmatch(text)
    if match is None:
        raise ValueError("not a host with an optional port")
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port < 65536:
        raise ValueError("not a port")
    return HostAndPort(match["host"].strip("[]"), port)


def provider_address(text: str) -> str:
    """Validates one entry of the setting."""
    try:
        ProviderAddress.parse(text)
    except ValueError:
        fix = "Write HOST=ADDRESS, like id.example.com=10.0.0.7 or localhost:8080=keycloak:8080."
        raise invalid("is not a host and its address, in lower case.", fix) from None
    return text


def check_distinct(addresses: Iterable[ProviderAddress]) -> None:
    """Raises the error of the setting where one host has two addresses."""
    seen: set[HostAndPort] = set()
    for entry in addresses:
        if entry.named in seen:
            raise invalid(f"names {entry.named.host} twice.", "Keep one address of each host and port.")
        seen.add(entry.named)
