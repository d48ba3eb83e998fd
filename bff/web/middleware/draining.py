"""Shutdown: responses ask proxies to close their connections, and streams without an end are closed.

From `begin` on every response carries `Connection: close`, so that no proxy reuses the connection. `end_streams` runs
once no new connection is accepted, so that clients reconnect to another replica.
"""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.proxy.exchange import Disconnect
from bff.session.stream_end import ServerStopping
from bff.telemetry import metrics


class LongLivedStreams:
    """Event streams and WebSockets that are open in this process, of all sessions."""

    def __init__(self) -> None:
        self._open: set[_Stream] = set()

    def register(self, close: Disconnect) -> Callable[[], None]:
        """Registers a stream. Returns the function that unregisters it."""
        stream = _Stream(close)
        self._open.add(stream)
        return lambda: self._open.discard(stream)

    def end(self) -> int:
        """Closes all of them, and returns how many."""
        ended = tuple(self._open)
        self._open.clear()
        for stream in ended:
            metrics.STREAMS_CLOSED.labels(reason="stopping").inc()
            stream.close(ServerStopping())
        return len(ended)


class _Stream:
    __slots__ = ("close",)

    def __init__(self, close: Disconnect) -> None:
        self.close = close


class Draining:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.begun = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if not self.begun or scope["type"] != "http":
            return self._app(scope, receive, send)

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [field for field in message["headers"] if field[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        return self._app(scope, receive, send_and_close)
