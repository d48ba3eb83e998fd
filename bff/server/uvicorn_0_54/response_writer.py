"""Writes response heads: as uvicorn does, but with one pass over the headers, and in one write with the first body
chunk if that is available at once. It is on the hot path, and the only part of uvicorn worth replacing: it took a sixth
of the processor time of a forwarded request. Every unusual case is delegated to uvicorn.
"""

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final
from weakref import ref

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from bff.asgi.extensions import BODY_FOLLOWS
from bff.asgi.forwarded import UNKNOWN
from bff.asgi.write_batching import WriteBatch
from bff.errors import BffError
from bff.server.uvicorn_0_54.waiting import SmallEvent
from bff.telemetry import tracing
from bff.web.error_responder import NOT_FORWARDED, ErrorResponder

# Characters forbidden in names and values (RFC 9110 section 5): a line break would inject a header or a response.
_NOT_IN_NAMES: Final = bytes(range(0x21)) + b'"(),/:;<=>?@[\\]{}' + bytes(range(0x7F, 0x100))
_NOT_IN_VALUES: Final = bytes(byte for byte in range(0x20) if byte != 0x09) + b"\x7f"

_SMALL: Final = 16384  # bytes of body that are copied behind the head into one write
# Names in lower case that were checked: of headers that say nothing about the connection.
_simple: Final[set[bytes]] = set()


def _is_simple(name: bytes) -> bool:
    if len(name.translate(None, _NOT_IN_NAMES)) != len(name) or name in (b"", b"connection", b"transfer-encoding"):
        return False
    if name.lower() != name:
        return False
    if len(_simple) < 256:  # upstreams choose the names
        _simple.add(name)
    return True


ERRORS: Final = ErrorResponder()  # no application is involved: problem JSON to every client


def refusal(error: BffError, default_headers: list[tuple[bytes, bytes]], *, begun: bool) -> bytes:
    """The complete response to a request whose framing is wrong; closes the connection afterwards.

    `begun`: the application has it already, and may have forwarded a part.
    """
    tracing.begin()
    status, headers, body = ERRORS.render(error, [], scope=UNKNOWN if begun else NOT_FORWARDED)
    fields = [*default_headers, *headers, (b"connection", b"close")]
    return b"".join([STATUS_LINE[status], *(b"%b: %b\r\n" % field for field in fields), b"\r\n", body])


class Flow(FlowControl):
    """`held`: reading stays paused, whatever a request wants to read, until premature data can be processed."""

    held = False

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__(transport)
        self._is_writable_event = SmallEvent()  # type: ignore[assignment]
        self._is_writable_event.set()

    def hold(self) -> None:
        self.pause_reading()
        self.held = True

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class _HeadFirst:
    """A transport for one body chunk, which writes the head in front of it."""

    def __init__(self, transport: asyncio.Transport, head: bytes) -> None:
        self._transport, self._head = transport, head

    def write(self, data: bytes) -> None:
        if len(data) > _SMALL:
            self.flush()
        head, self._head = self._head, b""
        self._transport.write(head + data if head else data)

    def flush(self) -> None:
        if self._head and not self._transport.is_closing():
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Lingering:
    """The transport for a response whose client may still be sending: `linger` instead of `close`."""

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], None]) -> None:
        self._transport, self.close = transport, linger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class ResponseCycle(RequestResponseCycle):
    write_batch: WriteBatch
    upgrade_ignored = False  # another protocol was requested: data after the head is discarded
    _head = b""  # prepared, not yet written
    _until_close = False  # the response ends with the connection (HTTP/1.0)

    async def send(self, message: ASGISendEvent) -> None:
        if message["type"] == "http.response.start":
            if self.waiting_for_100_continue and self.more_body:
                # The client may send the body all the same, or the next request instead (RFC 9110 section 10.1.1).
                self.keep_alive = False
            if not self._write_head(message["status"], message.get("headers", ())):
                self._before_slow_head(message)
                await super().send(message)
            elif BODY_FOLLOWS not in message:
                asyncio.get_running_loop().call_soon(self._send_head)
            return
        if not self._head or message["type"] != "http.response.body":
            if not self.keep_alive and (self.more_body or self.upgrade_ignored):
                # `on_response` is the protocol's; to hold the protocol itself would be a ring of references.
                protocol = getattr(self.on_response, "__self__", None)
                if protocol is not None and not isinstance(self.transport, _Lingering):
                    self.transport = _Lingering(self.transport, protocol.linger)  # type: ignore[assignment]
            await (self._send_until_close(message) if self._until_close else super().send(message))
            return
        if not message.get("more_body", False) and self._write_whole(message.get("body", b"")):
            return
        transport, self.transport = self.transport, _HeadFirst(self.transport, self._take_head())  # type: ignore[assignment]
        try:
            await super().send(message)
        finally:
            self.transport.flush()  # type: ignore[attr-defined]
            self.transport = transport

    @property
    def broken_off_looks_whole(self) -> bool:
        """Whether only the end of the connection marks the end of the response."""
        return self._until_close and self.response_started

    def _before_slow_head(self, message: Any) -> None:
        """HTTP/1.0 has no chunks: a response without a length ends with the connection (RFC 9112 section 6.3)."""
        if self.response_started or self.scope["http_version"] != "1.0":
            return
        names = [name.lower() for name, _ in message.get("headers", ())]
        if b"content-length" not in names and self.scope["method"] != "HEAD" and message["status"] not in (204, 304):
            self._until_close = True
            self.chunked_encoding = False  # uvicorn assumes that the framing is decided, and writes none

    async def _send_until_close(self, message: Any) -> None:
        if message["type"] != "http.response.body" or self.response_complete:
            await super().send(message)  # raises
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        self.transport.write(message.get("body", b""))
        if not message.get("more_body", False):
            self.response_complete = True
            self.message_event.set()
            self.transport.close()
            self.on_response()

    def _write_whole(self, body: bytes) -> bool:
        """Writes head and body in one call and finishes the response; False if that is not possible."""
        if self.chunked_encoding or len(body) != self.expected_content_length or len(body) > _SMALL:
            return False
        if self.flow.write_paused or self.disconnected or not self.keep_alive or self.scope["method"] == "HEAD":
            return False
        self.write_batch.write(self.transport, self._take_head() + body)
        self.expected_content_length, self.response_complete = 0, True
        self.message_event.set()
        self.on_response()
        return True

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def _send_head(self) -> None:
        """The body is not available yet: sends the head, so that the browser learns of the response at once."""
        if self._head and not self.transport.is_closing():
            self.transport.write(self._take_head())

    def _write_head(self, status: int, own: object) -> bool:
        """Prepares the head; False if uvicorn's own code must handle the response."""
        if self.response_started or self.flow.write_paused or self.disconnected or not self.keep_alive:
            return False
        length: bytes | None = None
        parts = [STATUS_LINE[status]]
        for name, value in (*self.default_headers, *own):  # type: ignore[misc]
            if name not in _simple and not _is_simple(name):
                return False
            if name == b"content-length":
                if length is not None or not value.isdigit():
                    return False
                length = value
            parts += (name, b": ", value, b"\r\n")
        fields = len(parts) // 4
        if length is not None:
            self.expected_content_length, self.chunked_encoding = int(length), False
        elif self.scope["method"] != "HEAD" and status not in (204, 304):
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
            fields += 1
        parts.append(b"\r\n")
        head = b"".join(parts)
        # Of the forbidden characters there are only our line ends: one for each field, the status and the empty line.
        if not fields or len(head) - len(head.translate(None, _NOT_IN_VALUES)) != 2 * (fields + 2):
            self.expected_content_length, self.chunked_encoding = 0, None
            return False
        self.response_started, self.waiting_for_100_continue = True, False
        self._head = head
        return True


def close_connection(weakly: "ref[ResponseCycle]", at_once: bool) -> None:
    """Closes the connection of an unfinished request; see `bff.asgi.extensions`."""
    cycle = weakly()
    if cycle is None:
        return  # the request is finished
    if cycle.broken_off_looks_whole:
        _reset(cycle.transport)
    elif at_once:
        cycle.transport.abort()
    else:
        cycle.transport.close()
    # Otherwise uvicorn logs an incomplete response as an application error.
    cycle.disconnected = True


def _reset(transport: asyncio.Transport) -> None:
    """Resets a TCP connection, so that its reader gets an error instead of the end of a response."""
    handle = transport.get_extra_info("socket")
    if handle is not None and handle.family in (socket.AF_INET, socket.AF_INET6):
        # A duplicate descriptor, because event loops hide setsockopt.
        with socket.socket(fileno=os.dup(handle.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
