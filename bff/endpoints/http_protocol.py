"""uvicorn's protocols with the things mended that no application can mend for itself.

Seen with uvicorn 0.54 and httptools 0.9: the trailers of a chunked body are appended to the headers of the scope, and
when a whole request arrives in one segment that has happened before the application runs at all. And the authority of
an absolute-form target is cut off unseen. Nothing in ASGI ends a connection without an answer. And the WebSocket
protocol logs the query of every handshake. Serve with `http=HttpProtocol, ws=WebSocketProtocol`.
"""

import asyncio
import logging
from functools import partial
from typing import Any, Final
from weakref import ref

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from bff.endpoints.response_cycle import ResponseCycle
from bff.proxy.close_codes import after_cut
from bff.proxy.hang_up import HANG_UP
from bff.proxy.outbox import outbox
from bff.session.stream_end import ServerStopping

# In the scope of a request whose headers are what came before the body, and nothing else.
HEADERS_FINAL: Final = "bff.headers_final"


# Seconds that a client may take to send the head of a request. uvicorn waits for ever, and a thousand clients that send
# a byte now and then would hold a thousand sockets.
HEAD_WITHIN: Final = 20.0


class HttpProtocol(HttpToolsProtocol):
    head_within = HEAD_WITHIN
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._outbox = outbox(self.loop)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Something came, and no request is under way by it: the head is not whole yet. (Not in `connections`: it is a
        # WebSocket's by now.)
        cycle: RequestResponseCycle | None = self.cycle
        if self._head_timer is None and self in self.connections and (cycle is None or cycle.response_complete):
            self._await_head()

    # What is written or closed without a task of its own must not overtake an answer that waits in the outbox.

    def send_400_response(self, msg: str) -> None:
        self._outbox.flush()
        super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        self._outbox.flush()
        super().handle_websocket_upgrade()

    def shutdown(self) -> None:
        self._outbox.flush()
        super().shutdown()

    def _await_head(self) -> None:
        if not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_within, self.transport.abort)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()
        if self.parser.should_upgrade() and self._should_upgrade():
            return  # on its way to the WebSocket protocol, which parses the request again
        if type(self.cycle) is RequestResponseCycle:
            self.cycle.__class__ = ResponseCycle  # uvicorn has no word for another one; its task has not begun yet
            self.cycle.outbox = self._outbox  # type: ignore[attr-defined]
        # Trailers go on to be appended to `self.headers`; the scope has its own list from here on.
        self.scope["headers"] = list(self.headers)
        self.scope[HEADERS_FINAL] = True  # type: ignore[typeddict-unknown-key]
        # Weak: the cycle holds the scope, and a ring of the two would outlive every request until a collection.
        self.scope[HANG_UP] = partial(_hang_up, ref(self.cycle))  # type: ignore[typeddict-unknown-key]
        if not self.url.startswith(b"/"):
            # What the client asked for in full, so that the guard can refuse it (RFC 9112 section 3.2.2).
            self.scope["raw_path"] = self.url.partition(b"?")[0]


def _hang_up(weakly: "ref[RequestResponseCycle]", at_once: bool) -> None:
    cycle = weakly()
    if cycle is None:
        return  # the request is over
    if at_once:
        cycle.transport.abort()
    else:
        cycle.transport.close()
    # Or uvicorn would log an unfinished answer as the application's defect.
    cycle.disconnected = True


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Its own lines name path and query of each handshake; `bff.logs` keeps what is below a warning away.
        self.logger = logging.getLogger("uvicorn.websocket")

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope[HANG_UP] = self._hang_up  # type: ignore[typeddict-unknown-key]

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # or uvicorn would log every refusal as the application's defect

    def shutdown(self) -> None:
        """Closes as the relay does when it comes to it in time: uvicorn would give no reason.

        Who closed first, and reads our answer slowly, is still connected: another frame would raise, and no other
        connection would be shut down.
        """
        if self.handshake_complete and not self.close_sent:
            if self.conn.state is State.OPEN:
                close = after_cut(ServerStopping())
                self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code})
                self.conn.send_close(close.code, close.reason)
                self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        super().shutdown()

    def _hang_up(self, at_once: bool) -> None:
        if at_once:
            self.transport.abort()
        else:
            self.transport.close()
