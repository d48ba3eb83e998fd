"""The WebSocket to an upstream, on websockets' client: bounded, and in little memory while it idles."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Iterable
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.protocol import State

from bff.proxy.websocket_bounds import BoundedProtocol
from bff.proxy.websocket_close import CLOSE_TIMEOUT

logger = logging.getLogger("websockets.client")

PING_INTERVAL: Final = 20.0  # seconds between pings, and until an upstream without a pong counts as lost
MAX_QUEUED_MESSAGES: Final = 2  # messages of an upstream that are buffered before reading pauses


class UpstreamFrames(BoundedProtocol, ClientProtocol):
    pass


class _LazyDeque:
    """What the library does with its deque of frames, without one while it is empty."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames: deque[Frame] | None = None

    def __len__(self) -> int:
        return 0 if self._frames is None else len(self._frames)

    def append(self, frame: Frame) -> None:
        if self._frames is None:
            self._frames = deque()
        self._frames.append(frame)

    def extendleft(self, frames: Iterable[Frame]) -> None:
        self._frames = self._frames or deque()
        self._frames.extendleft(frames)

    def popleft(self) -> Frame:
        if self._frames is None:
            raise IndexError("no frame has arrived")
        frame = self._frames.popleft()
        if not self._frames:
            self._frames = None
        return frame


class UpstreamSocket(ClientConnection):
    protocol: UpstreamFrames

    def __init__(self, protocol: UpstreamFrames) -> None:
        # Without the library's pings, which take a task for each connection.
        super().__init__(protocol, ping_interval=None, close_timeout=CLOSE_TIMEOUT, max_queue=MAX_QUEUED_MESSAGES)
        self.drain_waiters = []  # type: ignore[assignment] # a deque takes 600 bytes, and a list can do all that is needed
        # The library's own adds this connection to each record, for which it takes memory.
        self.logger = protocol.logger = logger
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

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.recv_messages.frames.queue = _LazyDeque()  # type: ignore[assignment]

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
                message.headers.clear()  # the parser has the message too
        self.request = None  # the response stays: without one, the library expects the handshake
        self.protocol.uri = None  # type: ignore[assignment]
