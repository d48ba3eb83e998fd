"""One HTTP/1.1 connection to a server: bytes out, bytes in, one exchange at a time, nothing decoded on the way.

No client library is used: a request target and a header must be sent byte for byte as received, a Latin-1 header must
be accepted, and an abort must close the socket at once (docs/decisions/0005-own-http1-client-for-upstreams.md has the
measurements). `ResponseParser` parses the responses.

A connection is reused only if the end of the response is framed and the upstream has certainly read the request body.
Otherwise bytes that the upstream sends late, or its response to a body that it parses as a request, would be taken for
the response to another user's request.
"""

import asyncio
import select
from collections.abc import Sequence
from typing import Final, cast

from bff.asgi.write_batching import WriteBatch
from bff.errors import InvalidRequest
from bff.http1.response_parser import Header, ResponseHead, ResponseParser

# bytes of a response that are buffered for a slow client before reading from the upstream pauses
BUFFERED: Final = 65536
# Methods whose content has a meaning (RFC 9110 section 9.3). Servers may skip the content of other requests or take it
# for the next request.
_CONTENT_IS_READ: Final = (b"POST", b"PUT", b"PATCH")


class ConnectionLost(Exception):
    """The upstream closed or reset the connection, or sent invalid HTTP.

    `response_begun` is False if no byte had been received.
    """

    def __init__(self, why: str, *, response_begun: bool) -> None:
        super().__init__(why)
        self.response_begun = response_begun


class Http1Connection(ResponseParser, asyncio.Protocol):
    """Created by a pool (`bff.proxy.pool`, `bff.provider.http1_client`).

    A wait ends when the response progresses, the connection fails, or `fail` is called.
    """

    # Without a dict for the attributes: thousands idle with the streams that they carry.
    __slots__ = (
        *("_active", "_buffered", "_chunked", "_failure", "_has_body", "_incoming", "_loop", "_once", "_read_paused"),
        *("_readable", "_response_begun", "_sent", "_transport", "_writable", "_write_batch", "_write_paused"),
        *("closed", "idle_since", "used", "waiting_since"),
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, write_batch: WriteBatch) -> None:
        super().__init__()
        self._loop, self._write_batch = loop, write_batch
        self._transport: asyncio.Transport | None = None
        self._incoming: select.poll | None = None
        self._failure: Exception | None = None
        self._readable: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = self._read_paused = False
        self._active = False
        self.closed = False
        self.used = False  # it has carried an exchange before, so the upstream may be closing it now
        self.idle_since = 0.0
        # Start of the current wait for the upstream; None while waiting for something else.
        self.waiting_since: float | None = None
        self._forget_exchange()

    def _forget_exchange(self) -> None:
        self._response_begun = self._chunked = self._sent = self._has_body = self._once = False
        self._buffered = 0

    # --- the exchange, as the proxy uses it ---

    def send_head(self, method: bytes, target: bytes, headers: Sequence[Header], *, length: int | None) -> None:
        """Starts an exchange.

        `length` is the body's in bytes; None means chunked, -1 no body. If the upstream might leave a body unread, or
        send one where none is allowed (HEAD), it is asked to close the connection after its response. Raises
        InvalidRequest if a byte could end a header line early.
        """
        has_body = length is None or length > 0
        # A chunked body: an upstream that does not support the coding reads the chunks as requests.
        once = method == b"HEAD" or length is None or (has_body and method not in _CONTENT_IS_READ)
        lines = [method + b" " + target + b" HTTP/1.1"]
        lines += [b": ".join(field) for field in headers]
        if length is None:
            lines.append(b"transfer-encoding: chunked")
        elif length >= 0:
            lines.append(b"content-length: %d" % length)
        if once:
            lines.append(b"connection: close")
        content = b"".join(lines)
        # `in` builds an exception first, in case that an integer is searched, which takes longer than the search.
        if content.find(b"\n") >= 0 or content.find(b"\r") >= 0 or content.find(b"\0") >= 0:
            raise InvalidRequest("A header cannot be forwarded.")
        head = b"\r\n".join(lines)
        self._forget_exchange()
        self._active = True
        self._has_body, self._once = has_body, once
        self._chunked, self._sent = length is None, length in (-1, 0)
        self._begin_response(to_head=method == b"HEAD")
        if self._transport is None or self.closed:
            return
        if self._sent:
            self._write_batch.write(self._transport, head + b"\r\n\r\n")
        else:
            self._write_batch.flush()  # the body is written directly
            self._transport.write(head + b"\r\n\r\n")

    def send_body(self, chunk: bytes) -> None:
        if chunk:
            self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
            if self.waiting_since is not None:
                self.waiting_since = self._loop.time()  # the upstream's response timeout runs from the last byte

    def end_body(self) -> None:
        if self._chunked:
            self._write(b"0\r\n\r\n")
        self._sent = True

    async def drain(self) -> None:
        """Waits while the upstream applies back-pressure. Raises the error that broke the exchange."""
        while self._write_paused and self._failure is None and not self.closed:
            self._writable = self._loop.create_future()
            await self._writable
        if self._failure is not None:
            raise self._failure

    async def head(self) -> ResponseHead:
        """The final response head; 1xx responses are skipped. Raises the error that broke the exchange."""
        while self._head is None:
            await self._wait()
        return self._head

    async def read(self) -> bytes:
        """The body received since the last call, b"" at its end. Raises the error that broke the exchange."""
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
    def head_received(self) -> bool:
        return self._head is not None

    @property
    def finishing(self) -> bool:
        """The whole response has arrived: `read` returns the rest without waiting."""
        return self._complete

    @property
    def finished(self) -> bool:
        """The whole response has arrived and been read."""
        return self._complete and not self._chunks

    @property
    def reusable(self) -> bool:
        return self.finished and self._sent and self._keep_alive and not self.closed and self._failure is None

    @property
    def quiet(self) -> bool:
        """Whether nothing unread has arrived: neither the end of the connection nor unsolicited bytes.

        The event loop may report them only in its next turn, when they would be taken for a response.
        """
        if self.closed or self._transport is None or self._transport.is_closing():
            return False
        if self._incoming is None:
            self._incoming = select.poll()
            self._incoming.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._incoming.poll(0)

    def fail(self, error: Exception) -> None:
        """Fails the exchange with this error, and closes the connection. The first error is kept."""
        if self._failure is None:
            self._failure = error
        self.abort()
        self._wake()

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def rest(self) -> None:
        """Between two exchanges: any data from the upstream is unsolicited and closes the connection."""
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
                self._failure = ConnectionLost("closed", response_begun=self._response_begun)
        self._wake()

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        if not self._active or self._complete:
            # Unsolicited data. A complete response before it is valid; the connection is not reused.
            self._keep_alive = False
            self.abort()
            return
        self._response_begun = True
        problem = self._feed(data)
        if problem is not None:
            self._keep_alive = False
            self._break(problem)

    def _break(self, why: str) -> None:
        if not self._complete:  # a complete response is valid, whatever follows it
            self.fail(ConnectionLost(why, response_begun=True))

    # --- ResponseParser

    def _request_was_read(self, status: int) -> bool:
        """False for a response that precedes the end of the body, and for an error or a redirect: the upstream may have
        sent those without reading the body.
        """
        if self._once:
            return False
        if not self._has_body:
            return True
        unsent = self._transport is None or self._transport.get_write_buffer_size()
        return self._sent and not unsent and status < 300

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._buffered += len(body)
        if self._buffered >= BUFFERED and not self._read_paused and self._transport is not None and not self.closed:
            self._read_paused = True
            self._transport.pause_reading()
        self._wake()
