"""Redis URLs: one server, Sentinel, or Cluster; with `rediss` in front, over TLS.

redis://[user:password@]host[:port][/db]
redis+sentinel://[user:password@]host[:port],host[:port].../service[/db]
redis+cluster://[user:password@]host[:port],host[:port]...

Options, after a `?`: `prefix` (of every key, "bff:"), `ca_file` (PEM), `sentinel_username`, `sentinel_password`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

from bff.errors import ConfigurationError

_PORTS: Final = {"server": 6379, "cluster": 6379, "sentinel": 26379}
_OPTIONS: Final = frozenset({"prefix", "ca_file", "sentinel_username", "sentinel_password"})


@dataclass(frozen=True, slots=True)
class RedisTarget:
    topology: Literal["server", "sentinel", "cluster"]
    addresses: tuple[tuple[str, int], ...]
    tls: bool = False
    service: str = ""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def prefix(self) -> str:
        return self.options.get("prefix", "bff:")


def parse_redis_url(url: str) -> RedisTarget:
    """Raises ConfigurationError, which never repeats the URL: it may contain a password."""
    try:
        # The hosts apart: newer versions of Python refuse an authority with brackets that is not a single address.
        start, _, rest = url.partition("://")
        authority = re.split("[/?#]", rest, maxsplit=1)[0]
        parts = urlsplit(f"{start}://{rest[len(authority) :]}")
        scheme, _, suffix = parts.scheme.partition("+")
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
        credentials, _, hosts = authority.rpartition("@")
        username, _, password = credentials.partition(":")
        path = [unquote(segment) for segment in parts.path.split("/")[1:] if segment]
    except ValueError:
        _refuse("the URL can't be read.")
    if unknown := sorted(set(options) - _OPTIONS):
        _refuse(f"{', '.join(map(ascii, unknown))} is no option of a Redis URL.")
    if "{" in options.get("prefix", "") or "}" in options.get("prefix", ""):
        _refuse("a prefix can't contain braces, which Redis Cluster reads as a hash tag.")
    match suffix:
        case "":
            topology: Literal["server", "sentinel", "cluster"] = "server"
        case "sentinel" | "cluster":
            topology = suffix
        case _:
            _refuse("the scheme is unknown.")
    addresses = tuple(_address(host, _PORTS[topology]) for host in hosts.split(","))
    service = ""
    if topology == "sentinel":
        if not path:
            _refuse("a Sentinel URL names the service: redis+sentinel://host:26379/service.")
        service = path.pop(0)
    if topology == "server" and len(addresses) > 1:
        _refuse("several hosts need redis+sentinel:// or redis+cluster://.")
    if len(path) > (0 if topology == "cluster" else 1) or not all(segment.isdecimal() for segment in path):
        _refuse("the path is not the number of a database.")
    return RedisTarget(
        topology,
        addresses,
        tls=scheme == "rediss",
        service=service,
        db=int(path[0]) if path else 0,
        username=unquote(username) or None,
        password=unquote(password) or None,
        options=options,
    )


def _address(host: str, port: int) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{host}")
        name, port = None if parts.path else parts.hostname, parts.port or port
    except ValueError:
        name = None
    if not name:
        _refuse("a host or its port can't be read.")
    return name, port


def _refuse(problem: str) -> NoReturn:
    raise ConfigurationError("BFF_STORE", problem, "See bff/storage/redis/url.py for the forms.")
