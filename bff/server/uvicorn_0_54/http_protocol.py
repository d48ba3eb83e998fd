"""The HTTP/1.1 server protocol on uvicorn's private classes, which `response_writer` and `websocket_protocol` use too.

Written for uvicorn 0.54 (`HttpToolsProtocol`, `RequestResponseCycle`, `WebSocketsSansIOProtocol`), httptools 0.9.
uvicorn feeds every byte to the parser, which decides where a request ends. As a result the body of a request with
`Upgrade: <anything but websocket>` is parsed as the next request, heads and trailers are unbounded, trailers become
headers, and a request is parsed before the response to the previous one. Here the parser receives one complete head at
a time, and `bff.server.request_framing` decides what follows it. Replaced: `data_received`, the parser's callbacks,
`send_400_response`. Relied on: the fields that `__init__` and `on_message_begin` set, `connection_made`,
`connection_lost`, `_start_asgi_task`, `on_response_complete`, `shutdown`, `handle_websocket_upgrade`, and the flow
control. Serve with `http=HttpProtocol, ws=WebSocketProtocol`.
"""

from functools import partial
from urllib.parse import unquote
from weakref import ref

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bff.asgi.extensions import CLOSE_CONNECTION, HEADERS_FINAL
from bff.errors import BffError, InvalidRequest
from bff.server import request_framing
from bff.server.header_sections import KnownHead
from bff.server.request_framing import Body, LengthBody, Upgrade
from bff.server.uvicorn_0_54.closing import ClosingConnection
from bff.server.uvicorn_0_54.response_writer import ResponseCycle, close_connection
from bff.server.uvicorn_0_54.waiting import SmallEvent


class HttpProtocol(ClosingConnection):
    _head_parsed = _keep_alive = False  # the parser's results for a head
    _body: Body | None = None  # the rest of the current request's body
    _websocket = False
    _gives_way = False  # received data waits until other connections had their turn
    _scanned = _empty_lines = 0
    # No callbacks for the body: the content is taken from the connection, not from the parser.
    on_body = on_message_complete = None  # type: ignore[assignment]

    # --- reading: one head, its body, the response; then the next ---

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._over:
            self._ignore(data)
            return
        try:
            if self._gives_way:
                self._unread += data
            elif self._unread or not self._takes_whole(data):
                self._unread += data
                self._read()
        except BffError as error:
            self._refuse(error)

    def _takes_whole(self, data: bytes) -> bool:
        """Handles a segment without buffering it if it is a head with all or none of its body, or a piece of a body."""
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
                    if self._body.unfinished:
                        self._give_way()
                    break
            elif self._answering():
                # Pipelined data is not parsed before the response to the previous request is complete.
                if len(unread) > HIGH_WATER_LIMIT:
                    self.flow.hold()
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

    def _give_way(self) -> None:
        """Continues with a body of many small chunks in the next turn of the event loop."""
        self._gives_way = True
        self.flow.hold()
        self.loop.call_soon(self._continue)

    def _continue(self) -> None:
        self._gives_way = self.flow.held = False
        if not self._over and not self.transport.is_closing():
            try:
                self._read()
            except BffError as error:
                self._refuse(error)
        if not self._gives_way and (self._body is None or len(self.cycle.body) <= HIGH_WATER_LIMIT):
            self.flow.resume_reading()

    def _drop(self) -> None:
        """Discards what follows the last head; after a handshake it belongs to the WebSocket."""
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
        known = self._header_sections.find(head)
        if known is not None:
            self._begin_known(known)
            return
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
            del self.parser  # it refers to this object: both would stay until a garbage collection
            return
        if version != "1.1":
            self.scope["http_version"] = version
        last = upgrade is Upgrade.OTHER
        if self._body is None and self._keep_alive and not last and version == "1.1" and not self.expect_100_continue:
            self._header_sections.add(head, self.headers)
        raw_path, _, query = self.url.partition(b"?")
        self._set_target(raw_path, query)
        self._answer(version, last=last)
        if self._body is None:
            self._body_ended()
        elif not isinstance(self._body, LengthBody):
            self.parser = httptools.HttpRequestParser(self)  # the old one waits for chunks, which it will not get

    def _begin_known(self, known: KnownHead) -> None:
        """Handles a head without a body whose headers were parsed and checked before."""
        self.expect_100_continue, self._keep_alive, self._body = False, True, None
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},  # type: ignore[typeddict-item]
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "root_path": self.root_path,
            "headers": known.headers,
            "state": self.app_state.copy(),
            "method": known.method,
        }
        self._set_target(known.raw_path, known.query)
        self._answer("1.1", last=False)
        self._body_ended()

    def _set_target(self, raw_path: bytes, query: bytes) -> None:
        path = raw_path.decode("ascii")
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"], self.scope["query_string"] = raw_path, query
        self.scope[HEADERS_FINAL] = True  # type: ignore[typeddict-unknown-key]

    def on_headers_complete(self) -> None:
        """The parser's callback: its results are read once, then discarded."""
        self._head_parsed, self._keep_alive = True, self.parser.should_keep_alive()

    def _answer(self, version: str, *, last: bool) -> None:
        """Starts the application. `last`: no other request follows on this connection."""
        # By position, which takes half as long as by name.
        cycle = ResponseCycle(
            self.scope,
            self.transport,
            self.flow,
            self.logger,
            self.access_logger,
            False,  # access_log: `bff.web.middleware.access_log` takes its place
            self.server_state.default_headers,
            SmallEvent(),  # type: ignore[arg-type]
            # For HTTP/1.0, and without a body, the expectation has no meaning (RFC 9110 section 10.1.1).
            self.expect_100_continue and version != "1.0" and self._body is not None,
            self._keep_alive and version != "1.0" and not last,
            self.on_response_complete,
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
        """After a response: handles data that has arrived already, or waits for the rest of the request's body."""
        if self._over or self.transport.is_closing():
            return
        if self._body is not None:
            self._await_head()  # the response preceded the end of the body: the rest has the same time limit as a head
            return
        try:
            self._read()
        except BffError as error:
            self._refuse(error)
