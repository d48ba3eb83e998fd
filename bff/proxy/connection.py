"""One HTTP/1.1 connection to an upstream: bytes out, bytes in, one exchange at a time, nothing decoded on the way.

Why not a client library: here a request target and a header must leave byte for byte as they came, a header in Latin-1
must arrive, and giving up must close the socket at once. decision 0005 has what was measured.
Responses are parsed by llhttp (httptools) in its strict mode, which refuses smuggling shapes by itself.

A connection is used again only where the end of the answer is framed and the request body was certainly read. Otherwise
bytes that an upstream sends late, or a body that it takes for a request, would become the answer to somebody else.
"""

import asyncio
import select
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import httptools

from bff.errors import InvalidRequest
from bff.proxy.headers import Header
from bff.proxy.outbox import outbox

BUFFERED: Final = 65536  # bytes of an answer that wait for a slow client before the upstream is made to wait
HEAD_LIMIT: Final = 65536  # bytes of status line and headers, with those of the 1xx responses before them
INFORMATIONAL_LIMIT: Final = 16  # 1xx responses before the final one
# Bytes of a chunked body that carry nothing (sizes, chunk extensions, trailers), beyond what its data excuses.
CHUNK_OVERHEAD_LIMIT: Final = 16384
_OVERHEAD_OF_A_CHUNK: Final = 16  # bytes: a size, two line ends, and a short extension

_BODILESS: Final = (204, 304)
# Methods whose content has a meaning (RFC 9110 section 9.3). Servers skip the content of other requests or take it for
# the next request.
_CONTENT_IS_READ: Final = (b"POST", b"PUT", b"PATCH")
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class ConnectionBroke(Exception):
    """The upstream closed, reset, or said something that is not HTTP. `heard` is False if not one byte had come."""

    def __init__(self, why: str, *, heard: bool) -> None:
        super().__init__(why)
        self.heard = heard


class ResponseHead(NamedTuple):
    """The final status and the headers, names in lower case, values as they came."""

    status: int
    headers: list[Header]


class UpstreamConnection(asyncio.Protocol):
    """Made by `UpstreamPool`. A wait ends when the answer moves on, the connection breaks, or somebody calls `fail`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._outbox = loop, outbox(loop)
        self._transport: asyncio.Transport | None = None
        self._incoming: select.poll | None = None
        self._failure: Exception | None = None
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = self._read_paused = False
        self._active = False
        self.closed = False
        self.used = False  # it has carried an exchange before: the upstream may be closing it as we speak
        self.idle_since = 0.0
        # When the wait for the upstream began that is going on now; None while it is not the upstream we wait for.
        self.waiting_since: float | None = None
        self._forget_exchange()

    def _forget_exchange(self) -> None:
        self._head: ResponseHead | None = None
        self._headers: list[Header] = []
        self._head_bytes = self._informational_count = self._informational_bytes = self._overhead = 0
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._heard = self._complete = self._informational = False
        self._chunked = self._answer_chunked = self._to_the_end = False
        self._keep_alive = True
        self._sent = False

    # --- the exchange, as the proxy drives it

    def send_head(self, method: bytes, target: bytes, headers: Sequence[Header], *, length: int | None) -> None:
        """Begins an exchange. `length` is the body's in bytes; None means chunked, and -1 that there is no body.

        Where the upstream might leave a body unread, or send one that nothing should follow (HEAD), it is told to close
        the connection after its answer. Raises InvalidRequest if a byte of it could end a line early.
        """
        has_body = length is None or length > 0
        # A chunked body: an upstream that does not know the coding reads the chunks as requests.
        once = method == b"HEAD" or length is None or (has_body and method not in _CONTENT_IS_READ)
        lines = [method + b" " + target + b" HTTP/1.1"]
        lines += [b": ".join(field) for field in headers]
        if length is None:
            lines.append(b"transfer-encoding: chunked")
        elif length >= 0:
            lines.append(b"content-length: %d" % length)
        if once:
            lines.append(b"connection: close")
        head = b"\r\n".join(lines)
        breaks = len(lines) - 1
        if head.count(b"\n") != breaks or head.count(b"\r") != breaks or b"\0" in head:
            raise InvalidRequest("A header cannot be forwarded.")
        self._forget_exchange()
        self._active = True
        self._method_is_head, self._has_body, self._once = method == b"HEAD", has_body, once
        self._chunked, self._sent = length is None, length in (-1, 0)
        self._parser = httptools.HttpResponseParser(self)
        if self._transport is None or self.closed:
            return
        if self._sent:
            self._outbox.write(self._transport, head + b"\r\n\r\n")
        else:
            self._outbox.flush()  # the body goes past it
            self._transport.write(head + b"\r\n\r\n")

    def send_body(self, chunk: bytes) -> None:
        if chunk:
            self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
            if self.waiting_since is not None:
                self.waiting_since = self._loop.time()  # the upstream's time to answer runs from the last byte

    def end_body(self) -> None:
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._sent = True

    async def drain(self) -> None:
        """Waits while the upstream takes no more. Raises what broke the exchange."""
        while self._write_paused and self._failure is None and not self.closed:
            self._writable = self._loop.create_future()
            await self._writable
        if self._failure is not None:
            raise self._failure

    async def head(self) -> ResponseHead:
        """The final response head; 1xx are passed over. Raises what broke the exchange."""
        while self._head is None:
            await self._wait()
        return self._head

    async def read(self) -> bytes:
        """What has come of the body since the last call, b"" at its end. Raises what broke the exchange."""
        while not self._chunks:
            if self._complete:
                return b""
            await self._wait()
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._read_paused and self._transport is not None and not self.closed:
            self._read_paused = False
            self._transport.resume_reading()
        return data

    @property
    def heard_head(self) -> bool:
        return self._head is not None

    @property
    def finishing(self) -> bool:
        """The whole answer has come: `read` gives the rest of it without a wait."""
        return self._complete

    @property
    def finished(self) -> bool:
        """The whole answer has come and been read."""
        return self._complete and not self._chunks

    @property
    def reusable(self) -> bool:
        return self.finished and self._sent and self._keep_alive and not self.closed and self._failure is None

    @property
    def quiet(self) -> bool:
        """Nothing has come, unread so far: neither the end of the connection nor bytes that nobody asked for.

        The event loop may know of them only in its next turn, and by then they would be taken for an answer.
        """
        if self.closed or self._transport is None or self._transport.is_closing():
            return False
        if self._incoming is None:
            self._incoming = select.poll()
            self._incoming.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._incoming.poll(0)

    def fail(self, error: Exception) -> None:
        """Ends the exchange with this error, and the connection with it. The first error stays."""
        if self._failure is None:
            self._failure = error
        self.abort()
        self._wake()

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def rest(self) -> None:
        """Between two exchanges: whatever the upstream says now is unasked for and closes the connection."""
        self._active, self.used, self.idle_since = False, True, self._loop.time()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self.closed:
            self._transport.write(data)

    async def _wait(self) -> None:
        if self._failure is not None:
            raise self._failure
        self._readable = self._loop.create_future()
        self.waiting_since = self._loop.time()
        try:
            await self._readable
        finally:
            self._readable = self.waiting_since = None

    def _wake(self) -> None:
        for waiter in (self._readable, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        by_peer, self.closed = not self.closed, True
        if self._active and not self._complete:
            if exc is None and by_peer and self._to_the_end:
                self._complete = True
            elif self._failure is None:
                self._failure = ConnectionBroke("closed", heard=self._heard)
        self._wake()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        if not self._active or self._complete:
            # Nobody asked for it. An answer that was whole before stands, the connection does not.
            self._keep_alive = False
            self.abort()
            return
        self._heard = True
        if self._head is None:
            self._head_bytes += len(data)
        elif self._answer_chunked:
            self._overhead += len(data)  # `on_body` takes off what was data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse("switched protocols unasked")
        except httptools.HttpParserError:
            self._refuse("not HTTP/1.1")
        else:
            # llhttp says nothing of a header or a chunk before it is whole, and collects meanwhile.
            if self._head is None and self._head_bytes > HEAD_LIMIT:
                self._refuse("response head too large")
            elif self._overhead > CHUNK_OVERHEAD_LIMIT:
                self._refuse("chunk extensions or trailers too large")

    def _refuse(self, why: str) -> None:
        if self._complete:
            self._keep_alive = False  # it came after a whole answer, which stands
        else:
            self.fail(ConnectionBroke(why, heard=True))

    # --- llhttp. An exception ends the parsing: `data_received` sees it as an HttpParserError.

    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("bytes after the answer")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head is None:  # a trailer is dropped: merged, it would be a header (RFC 9110 section 6.5.1)
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        self._informational = 100 <= status < 200
        if self._informational:
            self._count_informational(status)
            return
        if not 200 <= status < 600:
            raise ValueError("no such status")
        if self._head_bytes > HEAD_LIMIT and self._informational_bytes + _size(self._headers) > HEAD_LIMIT:
            raise ValueError("response head too large")
        keep_alive = self._parser.should_keep_alive()
        fields = dict(self._headers)
        if b"transfer-encoding" in fields:
            codings = [value.strip().lower() for name, value in self._headers if name == b"transfer-encoding"]
            if codings != [b"chunked"]:
                raise ValueError("a transfer coding that nobody asked for")  # RFC 9112 section 7: no TE was sent
            self._answer_chunked = True
            keep_alive = keep_alive and self._parser.get_http_version() == "1.1"  # RFC 9112 section 6.1
        else:
            self._to_the_end = b"content-length" not in fields
        bodiless = self._method_is_head or status in _BODILESS
        # What has no body by definition has no end either: an upstream that sends one all the same may send it at any
        # time, whatever its headers say.
        self._keep_alive = keep_alive and not bodiless and not self._once and self._request_was_read(status)
        self._head = ResponseHead(status, self._headers)
        self._complete = bodiless
        self._wake()

    def _count_informational(self, status: int) -> None:
        self._informational_count += 1
        self._informational_bytes += _size(self._headers)
        if status == 101:
            raise ValueError("101 without an Upgrade")
        if self._informational_count > INFORMATIONAL_LIMIT or self._informational_bytes > HEAD_LIMIT:
            raise ValueError("too many informational responses")
        if not _FRAMING.isdisjoint([name for name, _ in self._headers]):
            raise ValueError("an informational response with a body")  # RFC 9110 section 15.2

    def _request_was_read(self, status: int) -> bool:
        """Whether the upstream can be trusted to take the next bytes for a new request.

        An answer that comes before the body has left, and a refusal or a redirect, may have been given without reading
        the body.
        """
        if not self._has_body:
            return True
        unsent = self._transport is None or self._transport.get_write_buffer_size()
        return self._sent and not unsent and status < 300

    def on_body(self, body: bytes) -> None:
        if self._complete:
            raise ValueError("a body where there is none")
        if self._answer_chunked:
            self._overhead = max(0, self._overhead - len(body) - len(body) - _OVERHEAD_OF_A_CHUNK)
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered >= BUFFERED and not self._read_paused and self._transport is not None and not self.closed:
            self._read_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._informational:
            self._informational = False
            return
        self._complete = True
        self._wake()


def _size(headers: Sequence[Header]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
