"""The last seconds of a process: proxies are told to leave, and streams that never end are ended.

From `begin` on every answer says `Connection: close`, so that no proxy puts the connection back among those it uses
again. `end_streams` comes when nobody new is let in: whoever reconnects then reaches another replica.
"""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.proxy.exchange import Disconnect
from bff.session.stream_end import ServerStopping
from bff.telemetry import metrics


class LongLivedStreams:
    """Event streams and WebSockets that are open now, whoever they belong to."""

    def __init__(self) -> None:
        self._open: set[_Stream] = set()

    def register(self, close: Disconnect) -> Callable[[], None]:
        """Returns what takes it off again."""
        stream = _Stream(close)
        self._open.add(stream)
        return lambda: self._open.discard(stream)

    def end(self) -> int:
        """Ends them all, each in its own way; returns how many."""
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
    """Plain ASGI around everything."""

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
