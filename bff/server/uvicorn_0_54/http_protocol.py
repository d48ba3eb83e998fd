"""The HTTP/1.1 server protocol on uvicorn's private classes, which `response_writer` and `websocket_protocol` use too.

Written for uvicorn 0.54 (`HttpToolsProtocol`, `RequestResponseCycle`, `WebSocketsSansIOProtocol`), httptools 0.9.
uvicorn feeds every byte to the parser, which decides where a request ends. Then the body of a request with `Upgrade:
<anything but websocket>` is parsed as the next request; heads and trailers are unbounded; trailers become headers;
requests are parsed before the previous one is answered. Here the parser receives one complete head at a time, and
`bff.server.request_framing` decides what follows it. Replaced: `data_received`, the parser's callbacks,
`send_400_response`. Relied on: the fields that `__init__` and `on_message_begin` set, `connection_made`,
`connection_lost`, `_start_asgi_task`, `on_response_complete`, `shutdown`, `handle_websocket_upgrade`, and the flow
control. Serve with `http=HttpProtocol, ws=WebSocketProtocol`.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import unquote
from weakref import ref

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bff.asgi.extensions import CLOSE_CONNECTION, HEADERS_FINAL
from bff.asgi.write_batching import WriteBatch
from bff.errors import BffError, InvalidRequest
from bff.server import request_framing
from bff.server.request_framing import Body, LengthBody, Upgrade
from bff.server.uvicorn_0_54.response_writer import Flow, ResponseCycle, close_connection, refusal
from bff.web.responses import record_error

# A connection that we close while the client may still be sending is shut down for writing only, for so many bytes and
# for `Timeouts.linger`. An immediate close would reset it, and the response could be lost (RFC 9112 section 9.6).
LINGER_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a connection waits for its client, in seconds.

    `head`: for a complete request head. uvicorn has no limit, and a thousand clients that send one byte now and then
    would hold a thousand sockets. `linger`: for the client to close a connection that is shut down for writing.
    """

    head: float = 20.0
    linger: float = 5.0


class HttpProtocol(HttpToolsProtocol):
    _timer: asyncio.TimerHandle | None = None  # for an expected head, or for the end of a connection
    _head_parsed = _keep_alive = False  # what the parser says of a head
    _body: Body | None = None  # the rest of the current request's body
    _over = _lingers = _websocket = False  # over: what still comes is not looked at
    _scanned = _empty_lines = _ignored = 0
    # The parser sees no body; without a method of these names it does not expect one.
    on_body = on_message_complete = None  # type: ignore[assignment]

    def __init__(
        self,
        *arguments: Any,
        write_batch: WriteBatch | None = None,
        timeouts: Timeouts | None = None,
        **named: Any,
    ) -> None:
        """`write_batch`: shared by all connections of an application, so that responses of one turn leave together."""
        super().__init__(*arguments, **named)
        self._write_batch, self._timeouts = write_batch or WriteBatch(), timeouts or Timeouts()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow: Flow = Flow(transport)
        self._unread = bytearray()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_timer()
        super().connection_lost(exc)

    # --- reading: one head, its body, the response; then the next ---

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._over:
            self._ignored += len(data)
            if self._ignored > LINGER_BYTES:
                self.transport.abort()
            return
        try:
            if self._unread or not self._takes_whole(data):
                self._unread += data
                self._read()
        except BffError as error:
            self._refuse(error)

    def _takes_whole(self, data: bytes) -> bool:
        """Takes a segment without keeping it, where it is a head with all or none of its body, or a piece of a body."""
        if self._body is None:
            if self._answering() or data.startswith(b"\r") or not (end := request_framing.find_head(data)):
                return False
            if end == len(data):
                self._begin(data)
                return True
            self._begin(data[:end])
            data = data[end:]
        body = self._body
        if isinstance(body, LengthBody) and len(data) <= body.remaining:
            body.remaining -= len(data)
            self._deliver(body, data)
        else:
            self._unread += data
            self._read()
        return True

    def _read(self) -> None:
        unread = self._unread
        while unread and not self._over:
            if self._body is not None:
                self._deliver(self._body, self._body.take(unread))
                if self._body is not None:
                    break
            elif self._answering():
                # Pipelined data is not parsed before the response to the previous request is complete.
                if len(unread) > HIGH_WATER_LIMIT:
                    self.flow.pause_reading()
                    self.flow.held = True
                return
            elif unread.startswith(b"\r\n"):
                self._empty_lines += 1
                if self._empty_lines > request_framing.EMPTY_LINES:
                    raise InvalidRequest("There are too many empty lines before the request.")
                del unread[:2]
            elif end := request_framing.find_head(unread, self._scanned) if unread != b"\r" else 0:
                head = bytes(unread[:end])
                del unread[:end]
                self._begin(head)
            else:
                self._scanned = len(unread)
                break
        if self._over:
            self._drop()
        elif (unread or self._empty_lines) and self._timer is None and not self._answering():
            self._await_head()

    def _drop(self) -> None:
        """What came behind the last head: of a WebSocket it is the WebSocket's."""
        early = bytes(self._unread)
        self._unread.clear()
        if early and self._websocket:
            self.transport.get_protocol().data_received(early)  # type: ignore[attr-defined]

    def _answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _begin(self, head: bytes) -> None:
        """Handles a complete head. Raises the BffError with which it is refused."""
        if self._timer is not None:
            self._cancel_timer()
        self._scanned = self._empty_lines = 0
        self._head_parsed = False
        try:
            self.parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            pass  # only the headers matter, not what the parser makes of it
        except httptools.HttpParserError:
            raise InvalidRequest("The request is not valid HTTP.") from None
        if not self._head_parsed:
            raise InvalidRequest("The request is not valid HTTP.")
        request_framing.check_head(head, self.url, len(self.headers))
        method, version = self.parser.get_method().decode("ascii"), self.parser.get_http_version()
        self._body, upgrade = request_framing.decide_framing(method, version, self.headers)
        self.scope["method"] = method
        if upgrade is Upgrade.WEBSOCKET:
            self._over = self._websocket = True
            self._write_batch.flush()
            self.handle_websocket_upgrade()
            return
        if version != "1.1":
            self.scope["http_version"] = version
        raw_path, _, query = self.url.partition(b"?")
        path = raw_path.decode("ascii")
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"], self.scope["query_string"] = raw_path, query
        self.scope[HEADERS_FINAL] = True  # type: ignore[typeddict-unknown-key]
        self._answer(version, last=upgrade is Upgrade.OTHER)
        if self._body is None:
            self._body_ended()
        elif not isinstance(self._body, LengthBody):
            self.parser = httptools.HttpRequestParser(self)  # the old one waits for chunks, which it will not get

    def on_headers_complete(self) -> None:
        """The parser's callback: its results are read once, then discarded."""
        self._head_parsed, self._keep_alive = True, self.parser.should_keep_alive()

    def _answer(self, version: str, *, last: bool) -> None:
        """Starts the application. `last`: no other request follows on this connection."""
        cycle = ResponseCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            # For HTTP/1.0, and without a body, the expectation has no meaning (RFC 9110 section 10.1.1).
            expect_100_continue=self.expect_100_continue and version != "1.0" and self._body is not None,
            keep_alive=self._keep_alive and version != "1.0" and not last,
            on_response=self.on_response_complete,
        )
        cycle.write_batch, cycle.upgrade_ignored = self._write_batch, last
        self.cycle = cycle
        # A weak reference: the cycle holds the scope, and a reference cycle would keep every request until a garbage
        # collection.
        self.scope[CLOSE_CONNECTION] = partial(close_connection, ref(cycle))  # type: ignore[typeddict-unknown-key]
        self._start_asgi_task(cycle, self.app)

    def _deliver(self, body: Body, content: bytes) -> None:
        cycle = self.cycle
        if isinstance(body, LengthBody):
            try:
                self.parser.feed_data(content)  # it only counts the bytes, to expect the next head after them
            except httptools.HttpParserError:
                raise InvalidRequest("The request body is not valid HTTP.") from None
        if content and not cycle.response_complete:
            cycle.body += content
            if len(cycle.body) > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
        if body.ended:
            self._body = None
            self._body_ended()
        elif content:
            cycle.message_event.set()

    def _body_ended(self) -> None:
        cycle = self.cycle
        cycle.more_body = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            self._over = True
            self._unread.clear()
        elif cycle.response_complete:
            self._cancel_timer()
            self._await_request()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.flow.read_paused:
            self.flow.held = False
            self.flow.resume_reading()
        if self._over or self._unread or self._body is not None:
            self._go_on()
        elif not self.transport.is_closing():
            self._await_request()

    def _await_request(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _go_on(self) -> None:
        """The answer is out, and more has come already, is to come of its request, or nothing is to come at all."""
        if self._over or self.transport.is_closing():
            return
        if self._body is not None:
            self._await_head()  # the response preceded the end of the body: the rest has the same time limit as a head
            return
        try:
            self._read()
        except BffError as error:
            self._refuse(error)

    # --- direct writes and closes must not overtake a response that waits in the write batch ---

    def _refuse(self, error: BffError) -> None:
        """Responds without the application, if a response is still possible, and closes the connection."""
        cycle: RequestResponseCycle | None = self.cycle
        self._over = True
        self._write_batch.flush()
        if self.transport.is_closing():
            return
        record_error(error)
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()  # in the middle of a response nothing else can be sent
                return
        self.transport.write(refusal(error, self.server_state.default_headers))
        self.linger()

    def linger(self) -> None:
        """Closes the connection once the client has read the data, or after a time limit."""
        self._over = self._lingers = True
        self._unread.clear()
        self._cancel_timer()
        self._unset_keepalive_if_required()
        if self.transport.is_closing() or not self.transport.can_write_eof():
            self.transport.close()
            return
        self.flow.held = False
        self.flow.resume_reading()
        self.transport.write_eof()
        self._timer = self.loop.call_later(self._timeouts.linger, self.transport.abort)

    def shutdown(self) -> None:
        self._write_batch.flush()
        if self._lingers:
            self.transport.close()
        else:
            super().shutdown()

    def _await_head(self) -> None:
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(self._timeouts.head, self.transport.abort)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
