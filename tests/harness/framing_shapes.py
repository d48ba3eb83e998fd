"""Requests of every shape, and what of each may reach an upstream: nothing else may, through any proxy on the way."""

import re
from dataclasses import dataclass
from itertools import product
from typing import Final

HOST: Final = "localhost"
ATTACKER: Final = (
    f"Host: {HOST}\r\nsec-fetch-site: same-origin\r\nx-csrf: 1\r\nCookie: user=mallory\r\n"  # who is signed in as well
)
COMPLETE: Final = f"DELETE /api/hidden HTTP/1.1\r\n{ATTACKER}\r\n".encode()
# Would swallow the first line of whoever comes next on the connection, and take its cookie for its own.
PREFIX: Final = f"DELETE /api/hidden HTTP/1.1\r\nHost: {HOST}\r\nX-CSRF: 1\r\nX-Swallow: ".encode()
FLOOD: Final = b"\r\n" * 20_000 + PREFIX
LAST: Final = f"GET /api/last HTTP/1.1\r\n{ATTACKER}Connection: close\r\n\r\n".encode()

LENGTHS: Final = ("none", "length", "zero", "chunked", "extensions", "trailers", "both", "twice", "gzip")
UPGRADES: Final = (None, "h2c", "foo", "websocket", "websocket, h2c", "h2c\r\nUpgrade: websocket", "")
CONNECTIONS: Final = (None, "Upgrade", "keep-alive, upgrade, HTTP2-Settings", "close", "close, Upgrade")
EXPECTS: Final = (None, "100-continue", "x 100-continue")
VERSIONS: Final = ("HTTP/1.1", "HTTP/1.0")
METHODS: Final = ("POST", "GET")


@dataclass(frozen=True)
class Shape:
    """`head` ends with its empty line; `rest` is what the client sends behind it."""

    name: str
    head: bytes
    rest: bytes
    body: bytes | None
    ends: bool
    made_plain: frozenset[bytes]
    may_show: bool

    @property
    def raw(self) -> bytes:
        return self.head + self.rest


def shape(
    length: str,
    upgrade: str | None,
    connection: str | None,
    expect: str | None = None,
    version: str = "HTTP/1.1",
    method: str = "POST",
    hidden: bytes = COMPLETE,
) -> Shape:
    fields: list[str] = []
    chunk = b"%x\r\n%b\r\n" % (len(hidden), hidden)
    rest, body = {
        "none": (b"", b""),
        "length": (hidden, hidden),
        "zero": (b"", b""),
        "chunked": (chunk + b"0\r\n\r\n", hidden),
        "extensions": (b'%x;a="b";c\r\n%b\r\n0;d\r\n\r\n' % (len(hidden), hidden), hidden),
        "trailers": (chunk + b"0\r\nX-Trailer: a\r\nCookie: user=bob\r\n\r\n", hidden),
        "both": (b"0\r\n\r\n" + hidden, None),
        "twice": (hidden, None),
        "gzip": (chunk + b"0\r\n\r\n", None),
    }[length]
    made_plain = frozenset({hidden, rest, b""} if body is None else {body})
    coding = "gzip, chunked" if length == "gzip" else "chunked"
    if length in ("length", "both", "twice"):
        fields.append(f"Content-Length: {len(rest)}")
    if length == "zero":
        fields.append("Content-Length: 0")
    if length == "twice":
        fields.append("Content-Length: 0")
    if length in ("chunked", "extensions", "trailers", "both", "gzip"):
        fields.append(f"Transfer-Encoding: {coding}")
        if version == "HTTP/1.0":
            body = None
    if upgrade is not None:
        fields.append(f"Upgrade: {upgrade}")
        if length != "none":
            body = None
    if connection is not None:
        fields.append(f"Connection: {connection}")
    if expect is not None:
        fields.append(f"Expect: {expect}")
    if upgrade == "websocket" and "upgrade" in (connection or "").lower() and (method, version) != ("GET", "HTTP/1.1"):
        body = None
    ends = body is None or upgrade is not None or version == "HTTP/1.0" or (connection or "").startswith("close")
    head = "\r\n".join([f"{method} /api/x {version}", ATTACKER.removesuffix("\r\n"), *fields, "", ""]).encode()
    name = f"{method} {version[5:]} {length} upgrade={upgrade!r} connection={connection!r} expect={expect!r}"
    return Shape(name, head, rest, body, ends, made_plain, may_show=length in ("both", "twice", "gzip"))


_HANDSHAKE: Final = re.compile(rb"(?i)(?<!h2c)\r\nUpgrade: websocket\r\nConnection: [^\r]*upgrade")


def is_handshake(shape: Shape) -> bool:
    """Every one here lacks its key, and the WebSocket library refuses it."""
    return shape.body is not None and _HANDSHAKE.search(shape.head) is not None


EVERY: Final = [shape(*parts) for parts in product(LENGTHS, UPGRADES, CONNECTIONS, EXPECTS, VERSIONS, METHODS)]

# Those that are sent through the proxies too: each length with each protocol, and what else was ever a hole.
SELECTED: Final = [
    *(
        shape(length, upgrade, "Upgrade")
        for length, upgrade in product(LENGTHS, ("h2c", "websocket", "websocket, h2c"))
    ),
    *(shape(length, None, None, expect) for length, expect in product(("length", "chunked", "none"), EXPECTS)),
    *(shape(length, None, "Upgrade") for length in ("length", "trailers", "extensions")),
    *(shape(length, "h2c", None) for length in ("length", "chunked")),
    *(shape(length, None, None, version="HTTP/1.0") for length in LENGTHS),
    *(shape(length, None, None, method="GET") for length in ("length", "chunked", "both", "twice")),
    *(shape("length", upgrade, "Upgrade", hidden=PREFIX) for upgrade in ("h2c", "foo", "websocket", "")),
    *(shape("length", upgrade, "Upgrade", hidden=FLOOD) for upgrade in ("h2c", "websocket")),
    *(shape("chunked", upgrade, "Upgrade", hidden=PREFIX) for upgrade in ("h2c", "foo", "websocket")),
    shape("length", "h2c", "Upgrade", "100-continue", hidden=PREFIX),
    shape("none", "h2c", "Upgrade", method="GET"),
]

# Those that are cut at every byte, through the proxies: one of a kind.
CUT_EVERYWHERE: Final = [
    *(shape(length, "h2c", "Upgrade") for length in ("length", "chunked", "none")),
    *(shape(length, "websocket", "Upgrade") for length in ("length", "trailers")),
    *(shape(length, None, None) for length in ("length", "chunked", "trailers", "extensions", "both")),
    shape("length", None, None, "100-continue"),
    shape("length", None, None, version="HTTP/1.0"),
    shape("length", "h2c", "Upgrade", hidden=PREFIX),
    shape("chunked", "foo", "Upgrade", hidden=PREFIX),
    shape("length", None, None, method="GET"),
]
