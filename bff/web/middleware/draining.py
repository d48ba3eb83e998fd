"""Shutdown: from `begin` on every response carries `Connection: close`, so that no proxy reuses its connection.

Streams without an end are closed by `bff.flows.streams.OpenStreams.close_for_shutdown`.
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Draining:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._begun = False

    @property
    def begun(self) -> bool:
        return self._begun

    def begin(self) -> None:
        self._begun = True

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if not self._begun or scope["type"] != "http":
            return self._app(scope, receive, send)

        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [field for field in message["headers"] if field[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        return self._app(scope, receive, send_and_close)
