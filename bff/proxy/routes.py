"""The route table: which upstream serves a path, and the exact request target to request from it.

The authority comes from the settings alone: what the client sent appears only in path and query of an origin-form
target (RFC 9112 section 3.2.1) below the base path.
"""

import re
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from bff.errors import InvalidRequest
from bff.proxy.path_normalization import case_folded, is_plain, normalized

TokenKind: TypeAlias = Literal["user", "user_or_none", "none"]
CsrfRule: TypeAlias = Literal["header", "fetch-metadata"]
OnTokenExpiry: TypeAlias = Literal["keep", "close"]

DEFAULT_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# No dot at the end of a segment: a file system that strips it would see another prefix.
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-](?:[A-Za-z0-9._~-]*[A-Za-z0-9_~-])?)+|/")
_BASE_PATH: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Upstream:
    """The address of an API. `base_path` has no trailing slash: `https://api.example/v1/` has the base path `/v1`."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    base_path: str = ""

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


@dataclass(frozen=True, slots=True)
class Route:
    """One route. Times are in seconds; `timeout` runs until the first byte, `read_timeout` between two reads.

    `add_headers` are constants of the operator, possibly secret; header names are in lower case. `on_token_expiry` says
    what happens to an open stream when its access token expires.
    """

    prefix: str
    upstream: Upstream
    methods: tuple[str, ...] = DEFAULT_METHODS
    strip_prefix: bool = False
    ignore_case: bool = False  # the upstream treats /API and /api as the same path
    token: TokenKind = "user"
    csrf: CsrfRule = "header"
    background: bool = False  # polled by the SPA: its requests are no user activity
    timeout: float = 30.0
    read_timeout: float = 60.0
    connect_timeout: float = 5.0
    request_limit: int | None = None  # bytes of request body
    scopes: frozenset[str] = frozenset()
    add_headers: tuple[tuple[bytes, bytes], ...] = field(default=(), repr=False)
    allow_request_headers: frozenset[bytes] = frozenset()
    allow_response_headers: frozenset[bytes] = frozenset()
    allow_cookies: frozenset[bytes] = frozenset()
    allow_shared_cache: bool = False  # an upstream may have answers to several users stored in one place
    websocket: bool = False
    message_limit: int = 1 << 20  # bytes of one WebSocket message
    on_token_expiry: OnTokenExpiry = "keep"
    tls: ssl.SSLContext | None = field(default=None, repr=False)  # None: the system trust store, no client certificate
    _own: bytes = field(init=False, repr=False, compare=False)
    _base: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError("a prefix is made of plain segments, starts with /, and no segment ends with a dot")
        # b"" for the prefix `/`, which matches every path.
        object.__setattr__(self, "_own", self.prefix.rstrip("/").encode("ascii"))
        object.__setattr__(self, "_base", self.upstream.base_path.encode("ascii"))

    @property
    def carries_credentials(self) -> bool:
        """Whether the forwarded request carries the user's authority, which a page of another site could abuse."""
        return self.token != "none" or bool(self.allow_cookies)

    def covers(self, raw_path: bytes) -> bool:
        """Matches on a segment boundary: `/api` covers `/api` and `/api/x`, not `/apix`."""
        own = self._own
        if self.ignore_case:
            return raw_path[: len(own)].lower() == own.lower() and raw_path[len(own) : len(own) + 1] in (b"", b"/")
        return raw_path.startswith(own) and raw_path[len(own) : len(own) + 1] in (b"", b"/")

    def target(self, raw_path: bytes, query: bytes) -> bytes:
        """The request target for the upstream: the client's, byte for byte, except for the prefix.

        Raises InvalidRequest if it would leave the base path or could be parsed as an authority. The request guard
        refuses such paths before; this is the last check before sending.
        """
        path = self._base + (raw_path[len(self._own) :] if self.strip_prefix else raw_path)
        if not path:
            path = b"/"
        if (
            not self.covers(raw_path)
            or path.startswith(b"//")
            or not path.startswith(self._base + b"/" if path != self._base else self._base)
            or (b"." in path and _has_dot_segment(path))
            or not _PLAIN.fullmatch(path)
            or not _PLAIN.fullmatch(query)
        ):
            raise InvalidRequest("The path cannot be forwarded.")
        return path + b"?" + query if query else path

    def public_path(self, upstream_path: str) -> str | None:
        """The public path of an upstream path; None if it lies outside this route."""
        base = self.upstream.base_path
        if upstream_path != base and not upstream_path.startswith(base + "/"):
            return None
        rest = upstream_path[len(base) :]
        public = self._own.decode("ascii") + rest if self.strip_prefix else rest
        head = public.partition("?")[0].partition("#")[0].encode("ascii", "replace")
        return public if self.covers(head) and not public.startswith("//") else None


# Visible ASCII: the characters allowed in a request target.
_PLAIN: Final = re.compile(rb"[\x21-\x7e]*")


def _has_dot_segment(path: bytes) -> bool:
    """True if a segment of the path is `.` or `..`, with or without semicolon parameters."""
    return any(segment.partition(b";")[0] in (b".", b"..") for segment in path.split(b"/"))


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `bff routes explain GET /api/items` prints. `target` has no host, which is `route.upstream`."""

    route: Route | None
    method_allowed: bool
    target: str | None


class RouteTable:
    """The longest prefix wins. Raises ValueError when two routes have the same prefix."""

    __slots__ = ("_nested", "routes")

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(sorted(routes, key=lambda route: len(route._own), reverse=True))
        self._nested = {route.prefix: self._below(route) for route in self.routes}
        prefixes = {route.prefix: route for route in self.routes}
        if len(prefixes) != len(self.routes):
            raise ValueError("two routes have the same prefix")
        folded = [route.prefix.lower() for route in self.routes]
        for route in self.routes:
            if route.ignore_case and folded.count(route.prefix.lower()) > 1:
                raise ValueError("two routes have the same prefix except for letter case, which one of them ignores")

    def _below(self, outer: Route) -> tuple[Route, ...]:
        """The routes nested in one, longest prefix first, as its upstream would match them."""
        nested = []
        for inner in self.routes:
            if len(inner._own) > len(outer._own):
                if outer.ignore_case or inner.ignore_case:
                    if replace(outer, ignore_case=True).covers(inner._own):
                        nested.append(replace(inner, ignore_case=True))
                elif outer.covers(inner._own):
                    nested.append(inner)
        return tuple(nested)

    def match(self, raw_path: bytes) -> Route | None:
        """The route of a raw path: an encoded prefix does not match.

        Raises InvalidRequest if an upstream could read the path as one of another route, whose rules would be bypassed:
        `/api/%61dmin`, `/api//admin`, `/api/admin;x` where `/api/admin` is a route inside `/api`.
        """
        for route in self.routes:
            if route.covers(raw_path):
                if self._nested[route.prefix] and self._bypassed_in(route, raw_path) is not None:
                    raise InvalidRequest("The path is spelled so that a server could take it for another one.")
                return route
        return None

    def bypassed_route(self, raw_path: bytes) -> Route | None:
        """The route whose rules a path would bypass by its spelling, which is why `match` refuses it."""
        outer = next((route for route in self.routes if route.covers(raw_path)), None)
        return None if outer is None else self._bypassed_in(outer, raw_path)

    def _bypassed_in(self, route: Route, raw_path: bytes) -> Route | None:
        """The nested route that the upstream of `route` might match for a path that is spelled differently.

        Only routes nested in the covering route matter: its own prefix is plain in every reading. Raises InvalidRequest
        for an ambiguous path.
        """
        if is_plain(raw_path):
            if not route.ignore_case:
                return None
            reading = raw_path
        else:
            reading = normalized(raw_path)
        for nested in self._nested[route.prefix]:
            if nested.covers(case_folded(reading) if nested.ignore_case else reading):
                return nested
        return None

    def carries_credentials(self, raw_path: bytes) -> bool:
        """Whether a request for that path goes to an API with a token or cookies of the user, in any reading of it."""
        try:
            route = self.match(raw_path)
        except InvalidRequest:
            return True
        return route is not None and route.carries_credentials

    def explain(self, method: str, path: str) -> Explanation:
        """Raises InvalidRequest for a path that would not be forwarded."""
        raw_path, _, query = path.encode("ascii", "replace").partition(b"?")
        route = self.match(raw_path)
        if route is None:
            return Explanation(None, False, None)
        return Explanation(route, method in route.methods, route.target(raw_path, query).decode("ascii"))
