"""One request and response on one connection, and the reasons to abort it: timeout, client disconnect, session end.

Each of them calls `fail` on the connection instead of cancelling a task, because every wait depends on the connection.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias

from bff.config.routes import Route
from bff.errors import BffError, InvalidRequest, UpstreamTimeout
from bff.http1.connection import ConnectionLost, Http1Connection
from bff.http1.response_parser import Header, ResponseHead
from bff.proxy.credentials import CloseStream, Unregister
from bff.proxy.request_body import ClientDisconnected, RequestBody
from bff.session.stream_end import StreamEnd

WATCH_AFTER: Final = 0.1  # seconds after which a waiting client is monitored for disconnects
LONG_LIVED_AFTER: Final = 1.0  # seconds after which an exchange counts as long-lived: the session's end closes it
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

# Called for a long-lived exchange with the function that closes it, and whether it is endless (an event stream or a
# WebSocket). Returns the function that unregisters it.
OnLongLived: TypeAlias = Callable[[CloseStream, bool], Unregister]


class Interrupted(Exception):
    """The BFF closed it, for this reason."""

    def __init__(self, end: StreamEnd) -> None:
        super().__init__(type(end).__name__)
        self.end = end


class Exchange:
    def __init__(
        self, connection: Http1Connection, route: Route, body: RequestBody, on_long_lived: OnLongLived | None
    ) -> None:
        self.connection = connection
        self._route, self._body, self._on_long_lived = route, body, on_long_lived
        self._loop = asyncio.get_running_loop()
        self._begun_at = self._loop.time()
        self._safe = False
        self._timer: asyncio.TimerHandle | None = None
        self._upload: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._unregister: Unregister | None = None

    async def begin(self, method: str, target: bytes, headers: list[Header]) -> ResponseHead:
        """Raises what broke the exchange.

        ConnectionLost, UpstreamTimeout, RequestTooLarge, ClientDisconnected, Interrupted.
        """
        connection, body = self.connection, self._body
        self._safe = method in SAFE
        connection.send_head(method.encode("ascii"), target, headers, length=body.length)
        if body.present:
            connection.send_body(body.first)
            if body.ended:
                connection.end_body()
            else:
                self._upload = self._loop.create_task(self._send_body())
        first_look = min(WATCH_AFTER, self._route.timeout, self._route.read_timeout)
        self._timer = self._loop.call_later(first_look, self._look)
        return await connection.head()

    def response_started(self, head: ResponseHead) -> None:
        """The response begins. An event stream counts as long-lived at once, every other response after a delay."""
        if self._on_long_lived is None:
            return
        for name, value in head.headers:
            if name == b"content-type" and value.startswith(b"text/event-stream"):
                self._register_long_lived(endless=True)
                return
        if self._loop.time() - self._begun_at >= LONG_LIVED_AFTER:
            self._register_long_lived(endless=False)

    def _register_long_lived(self, *, endless: bool) -> None:
        if self._on_long_lived is not None and (self._unregister is None or endless):
            if self._unregister is not None:
                self._unregister()
            self._unregister = self._on_long_lived(lambda end: self.connection.fail(Interrupted(end)), endless)

    async def _send_body(self) -> None:
        try:
            while not self._body.ended:
                await self.connection.drain()
                self.connection.send_body(await self._body.next())
            self.connection.end_body()
        except (BffError, ClientDisconnected, ConnectionLost, Interrupted) as error:
            self.connection.fail(error)

    def _look(self) -> None:
        connection = self.connection
        if self._watcher is None and self._body.ended:
            self._watcher = self._loop.create_task(self._watch_client())
        now, since = self._loop.time(), connection.waiting_since
        limit = self._route.read_timeout if connection.head_received else self._route.timeout
        left = limit if since is None else since + limit - now
        if left <= 0:
            if self._body.awaited:
                connection.fail(InvalidRequest("The request body stopped arriving."))
            else:
                connection.fail(UpstreamTimeout())
            return
        soon = left if self._watcher is not None else min(left, WATCH_AFTER)
        short_for = self._begun_at + LONG_LIVED_AFTER - now
        if short_for > 0:
            soon = min(soon, short_for)
        elif self._safe or connection.head_received:
            # An unsafe request is not aborted before its response: its effect would be unknown.
            self._register_long_lived(endless=False)
        self._timer = self._loop.call_later(min(soon, self._route.read_timeout), self._look)

    async def _watch_client(self) -> None:
        """Once the body is read, the only remaining message is the client's disconnect."""
        while (await self._body.receive())["type"] != "http.disconnect":
            pass
        if not self.connection.finished:
            self.connection.fail(ClientDisconnected())

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._unregister is not None:
            self._unregister()
        for task in (self._upload, self._watcher):
            if task is not None:
                task.cancel()
