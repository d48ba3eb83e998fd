"""Requests to the provider on the connections that `/api` uses too: for the many that no person waits for.

A request through httpx takes more than a millisecond of processor time, one through `bff.http1` a fifth of that
(docs/decisions/0026-refreshes-on-own-http1-connections.md).
"""

import asyncio
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import httpx

from bff.asgi.write_batching import WriteBatch
from bff.errors import InvalidRequest
from bff.http1.connection import ConnectionLost, Http1Connection
from bff.http1.response_parser import Header
from bff.oidc.form_fields import FormFields
from bff.oidc.token import NoAnswer
from bff.provider.addresses import NO_ADDRESSES, AddressMap
from bff.provider.dial import dial
from bff.provider.failure import reason_of
from bff.provider.request_content import request_content
from bff.provider.response import KEEP_ALIVE_SECONDS, USER_AGENT, BodyRefused, BoundedBody, HttpResponse, Outcome
from bff.provider.trust import authorities


class Origin(NamedTuple):
    tls: bool
    host: str
    port: int


class Target(NamedTuple):
    """A URL as a request states it: the origin to connect to, the Host header, and the path with its query."""

    origin: Origin
    host: bytes
    path: bytes


@lru_cache(maxsize=64)
def target_of(url: str) -> Target:
    """Normalized as httpx does. Only the provider's metadata names URLs, so they are few."""
    parsed = httpx.URL(url)
    tls = parsed.scheme == "https"
    origin = Origin(tls, parsed.raw_host.decode("ascii"), parsed.port or (443 if tls else 80))
    return Target(origin, parsed.netloc, parsed.raw_path)


_HEADERS: Final[tuple[Header, ...]] = (
    (b"user-agent", USER_AGENT.encode()),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip"),
)


class Http1Client:
    """Sends as `HttpClient` does, and returns the same: no redirects, cookies, proxies, or headers of a browser."""

    def __init__(self, *, ca_file: Path | None = None, addresses: AddressMap = NO_ADDRESSES, connections: int) -> None:
        """`connections` is the maximum number of open connections; a request without a free one waits, within its own
        deadline. Raises OSError if `ca_file` cannot be read.
        """
        self._tls, self._addresses = authorities(ca_file), addresses
        self._free = asyncio.Semaphore(connections)
        self._idle: dict[Origin, list[Http1Connection]] = {}
        self._busy: set[Http1Connection] = set()
        self._write_batch = WriteBatch()

    async def send(
        self,
        method: Literal["GET", "POST"],
        url: str,
        *,
        within: float,
        limit: int,
        headers: Mapping[str, str] | None = None,
        form: FormFields | None = None,
        document: Mapping[str, Any] | None = None,
        may_send: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """Returns within `within` seconds; reads at most `limit` bytes, both compressed and decompressed.

        `document` is sent as JSON. Never raises. `may_send` is called when the first byte is about to be written.
        NoAnswer(False) guarantees that none was.
        """
        sent = False
        answered: HttpResponse | None = None
        try:
            target = target_of(url)
            request = request_content(form, document)
            lines = _lines(target, headers or {}, request.media_type)
            async with asyncio.timeout(within), self._free:
                connection = await self._acquire(target.origin)
                try:
                    if connection.closed:
                        return NoAnswer(False, "the connection was closed before the request")
                    if not may_send():
                        return NoAnswer(False, "the time to send had passed")
                    sent = True
                    connection.send_head(method.encode(), target.path, lines, length=len(request.body) or -1)
                    connection.send_body(request.body)
                    connection.end_body()
                    head = await connection.head()
                    fields = _fields(head.headers)
                    answered = HttpResponse(head.status, fields, b"", complete=False)
                    content = BoundedBody(fields.get("content-encoding", ""), limit)
                    while chunk := await connection.read():
                        content.add(chunk)
                    return HttpResponse(head.status, fields, content.end())
                finally:
                    self._release(target.origin, connection)
        except TimeoutError:
            why = f"no answer within {within:.1f} s"
        except BodyRefused as refused:
            why = str(refused)
        except InvalidRequest:  # raised before anything is written
            sent, why = False, "a header cannot be sent"
        except ConnectionLost as lost:
            why = f"the connection ended: {lost}"
        except Exception as error:  # of name resolution, connecting, TLS, or an unusable URL or header
            why = reason_of(error)
        if answered is not None:
            return HttpResponse(answered.status, answered.headers, b"", complete=False, why=why)
        return NoAnswer(sent, why)

    async def close(self) -> None:
        for connection in (*self._busy, *(idle for kept in self._idle.values() for idle in kept)):
            connection.abort()
        self._idle.clear()

    async def _acquire(self, origin: Origin) -> Http1Connection:
        """The most recently used idle connection, or a new one. Raises OSError and ssl.SSLError."""
        loop = asyncio.get_running_loop()
        kept, oldest = self._idle.get(origin, []), loop.time() - KEEP_ALIVE_SECONDS
        while kept:
            connection = kept.pop()
            if connection.idle_since >= oldest and connection.quiet:
                self._busy.add(connection)
                return connection
            connection.abort()
        socket = await dial(*self._addresses.of(origin.host, origin.port))
        try:
            _, connection = await loop.create_connection(
                partial(Http1Connection, loop, self._write_batch),
                sock=socket,
                ssl=self._tls if origin.tls else None,
                server_hostname=origin.host if origin.tls else None,
            )
        except BaseException:
            socket.close()
            raise
        self._busy.add(connection)
        return connection

    def _release(self, origin: Origin, connection: Http1Connection) -> None:
        """Keeps a connection that can carry another request, and closes any other."""
        self._busy.discard(connection)
        if connection.reusable:
            connection.rest()
            self._idle.setdefault(origin, []).append(connection)
        else:
            connection.abort()


def _lines(target: Target, headers: Mapping[str, str], media_type: str | None) -> list[Header]:
    lines = [(b"host", target.host), *_HEADERS]
    if media_type is not None:
        lines.append((b"content-type", media_type.encode()))
    lines.extend((name.encode("ascii"), value.encode("ascii")) for name, value in headers.items())
    return lines


def _fields(headers: list[Header]) -> dict[str, str]:
    """By lower-case name; the values of a repeated header are joined (RFC 9110 section 5.3)."""
    fields: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields
