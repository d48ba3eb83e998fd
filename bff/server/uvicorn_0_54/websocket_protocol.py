"""The WebSocket server protocol, on a private class of uvicorn 0.54: adds what an application cannot do itself.

ASGI has no way to close a connection without a response. uvicorn's class logs the query of every handshake, sends no
response to a handshake that its library rejects, and reads frames before it has responded to a handshake. It
accumulates pongs for a client that does not read, limits messages by one number for all routes, and resets the
connection of a client whose frames it rejects, including the close frame.
"""

import logging
from typing import Any, Final

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from bff.asgi.extensions import CLOSE_CONNECTION, HEADERS_FINAL, LIMIT_MESSAGES
from bff.errors import InvalidRequest
from bff.proxy.websocket_bounds import BoundedProtocol
from bff.proxy.websocket_close import CLOSE_TIMEOUT, close_frame_for
from bff.server.uvicorn_0_54.response_writer import ERRORS, refusal
from bff.server.uvicorn_0_54.waiting import SmallEvent, SmallQueue
from bff.session.stream_end import ServerStopping

_EARLY_BYTES: Final = 65536  # from a client that does not wait for the handshake response
# For a client whose frames were rejected and that still sends: it must be able to read the close frame before the
# connection closes.
_DISCARDED_BYTES: Final = 16 * 1024 * 1024


class _Frames(BoundedProtocol, ServerProtocol):
    pass


class WebSocketProtocol(WebSocketsSansIOProtocol):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # uvicorn logs path and query of each handshake at INFO; `bff.telemetry.logging` drops what is below a warning.
        self.logger = logging.getLogger("uvicorn.websocket")
        self.conn: _Frames = _Frames(max_size=self.config.ws_max_size, logger=self.logger)  # compression is off
        # As uvicorn sets them, in less memory: most WebSockets idle most of the time.
        self.queue = SmallQueue()  # type: ignore[assignment]
        self.writable = SmallEvent()  # type: ignore[assignment]
        self.writable.set()
        self._discarded = 0
        self._early = b""  # data that arrived before the response to the handshake, not parsed until then

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            if len(self._early) > _EARLY_BYTES:
                self.transport.abort()
            return
        if self.conn.parser_exc is not None:
            self._discarded += len(data)
            if self._discarded > _DISCARDED_BYTES:
                self.transport.abort()
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """uvicorn sends no response to a head that its WebSocket library rejects, and would not close the connection
        either.
        """
        error = InvalidRequest("The WebSocket handshake is malformed.")
        ERRORS.record(error)
        self.close_sent = self.handshake_complete = True
        self.transport.write(refusal(error, self.default_headers, begun=False))
        self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope[CLOSE_CONNECTION] = self._close_connection  # type: ignore[typeddict-unknown-key]
            self.scope[HEADERS_FINAL] = True  # type: ignore[typeddict-unknown-key] # trailers cannot follow
            self.scope[LIMIT_MESSAGES] = self._limit_messages  # type: ignore[typeddict-unknown-key]

    async def send(self, message: ASGISendEvent) -> None:
        await super().send(message)
        if message["type"] == "websocket.close" and self.close_timer is not None:
            self._await_end()
        elif message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # otherwise uvicorn logs every refusal as an application error
        elif message["type"] == "websocket.accept" and not self.transport.is_closing():
            # The application has its own copy in the scope.
            self.request.headers.clear()
            del self.response
            if self._early:
                early, self._early = self._early, b""
                self.data_received(early)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.conn.writing_paused = True

    def resume_writing(self) -> None:
        self.conn.resume_writing()
        data = b"".join(self.conn.data_to_send())
        if data and not self.transport.is_closing():
            self.transport.write(data)
        super().resume_writing()

    def handle_parser_exception(self) -> None:
        """Sends the close frame and shuts down our side. uvicorn would close at once, and the reset would overtake the
        frame.
        """
        close = self.conn.close_sent
        if close is None or self.close_sent or self.transport.is_closing():
            self.transport.close()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.conn.parser_exc is not None and self.transport.can_write_eof():  # no pong can follow
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._await_end()

    def _await_end(self) -> None:
        """After our close frame: for the client's, or for it to close the connection. uvicorn waits for ten seconds."""
        if self.close_timer is not None:
            self.close_timer.cancel()
        self.close_timer = self.loop.call_later(CLOSE_TIMEOUT, self._end)

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # it does not read either
        else:
            self.transport.close()  # the system still delivers the close frame on a slow connection

    def _limit_messages(self, limit: int) -> None:
        self.conn.max_message_size = limit

    def shutdown(self) -> None:
        """Closes as the relay does; uvicorn would send no reason.

        A client that has started the closing handshake and reads slowly is still connected: another frame would raise,
        and no other connection would be closed.
        """
        if self.handshake_complete and not self.close_sent:
            if self.conn.state is State.OPEN:
                close = close_frame_for(ServerStopping())
                self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code})
                self.conn.send_close(close.code, close.reason)
                self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        super().shutdown()

    def _close_connection(self, at_once: bool) -> None:
        if at_once:
            self.transport.abort()
        else:
            self.transport.close()
