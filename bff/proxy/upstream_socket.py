"""The WebSocket to an upstream, on websockets' client: bounded, and in little memory while it idles."""

import asyncio
import os
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.protocol import State

from bff.proxy.websocket_bounds import BoundedProtocol
from bff.proxy.websocket_close import CLOSE_TIMEOUT

PING_INTERVAL: Final = 20.0  # seconds between pings, and until an upstream without a pong counts as lost
MAX_QUEUED_MESSAGES: Final = 2  # messages of an upstream that are buffered before reading pauses


class UpstreamFrames(BoundedProtocol, ClientProtocol):
    pass


class UpstreamSocket(ClientConnection):
    protocol: UpstreamFrames

    def __init__(self, protocol: UpstreamFrames) -> None:
        # Without the library's pings, which take a task for each connection.
        super().__init__(protocol, ping_interval=None, close_timeout=CLOSE_TIMEOUT, max_queue=MAX_QUEUED_MESSAGES)
        self.drain_waiters = []  # type: ignore[assignment] # a deque takes 600 bytes, and a list can do all that is needed
        self._ping_timer: asyncio.TimerHandle | None = None
        self._ping_unanswered = False

    def start_keepalive(self) -> None:
        """Sends a ping at regular intervals, and aborts the connection when the last one had no answer."""
        self._ping_timer = self.loop.call_later(PING_INTERVAL, self._ping)

    def _ping(self) -> None:
        if self.protocol.state is not State.OPEN or self.transport.is_closing():
            return
        if self._ping_unanswered:
            self.transport.abort()
            return
        self._ping_unanswered = True
        self.protocol.send_ping(os.urandom(4))
        self.send_data()
        self.start_keepalive()

    def acknowledge_pings(self, data: bytes) -> None:
        """The library's callback for a pong."""
        self._ping_unanswered = False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.protocol.writing_paused = True

    def resume_writing(self) -> None:
        self.protocol.resume_writing()
        self.send_data()
        super().resume_writing()

    def forget_handshake(self) -> None:
        """Its headers would take memory as long as the WebSocket is open."""
        for message in (self.request, self.response):
            if message is not None:
                message.headers.clear()
