"""The address of an upstream, as a route's URL states it."""

import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Upstream:
    """The address of an API. `base_path` has no trailing slash: `https://api.example/v1/` has the base path `/v1`."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    base_path: str = ""
    host_field: tuple[bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "host_field", (b"host", self.authority.encode("ascii")))

    @property
    def authority(self) -> str:
        """The Host header for the upstream: with the port only if it is not the scheme's default (RFC 9110 section
        7.2).
        """
        return self.host if self.port == (443 if self.scheme == "https" else 80) else f"{self.host}:{self.port}"

    @property
    def address(self) -> str:
        """The host for the resolver: an IPv6 address without brackets."""
        return self.host.strip("[]")

    @classmethod
    def parse(cls, url: str) -> "Upstream":
        """Raises ValueError unless `url` is http(s) with a host, an optional port and a plain
        path, and nothing else.
        """
        parts = urlsplit(url)
        authority = re.fullmatch(rf"({_HOST.pattern})(?::(\d{{1,5}}))?", parts.netloc)
        if parts.scheme not in ("http", "https") or authority is None:
            raise ValueError("an upstream is http:// or https:// with a host and an optional port")
        if parts.query or parts.fragment or "?" in url or "#" in url:
            raise ValueError("an upstream has no query and no fragment")
        base_path = parts.path.rstrip("/")
        if not _BASE_PATH.fullmatch(base_path):
            raise ValueError("an upstream's path is made of plain segments")
        scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
        port = int(authority[2]) if authority[2] else (443 if scheme == "https" else 80)
        if not 0 < port < 65536:
            raise ValueError("a port is a number from 1 to 65535")
        return cls(scheme, authority[1].lower(), port, base_path)
