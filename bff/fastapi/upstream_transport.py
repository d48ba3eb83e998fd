"""An httpx transport over the API proxy: what a host's own code sends goes the way of a forwarded request.

The proxy pushes ASGI messages and httpx pulls a response, so each request has a task that runs the proxy.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Final

import httpx
from starlette.types import Message, Scope

from bff.asgi.forwarded import ON_BEHALF_OF
from bff.config.routes import Route
from bff.errors import InvalidRequest, UpstreamTimeout, UpstreamUnreachable
from bff.proxy.http import ResponseAborted
from bff.proxy.own_request import OWN_REQUEST, OwnRequest
from bff.web.host import HostRequests
from bff.web.middleware.request_guard import check_path

_CHUNKS: Final = 4  # of a response that wait to be read
_PASSED_ON: Final = (b"content-length", b"transfer-encoding")


class UpstreamTransport(httpx.AsyncBaseTransport):
    """Sends requests to the upstream of one route, for one request `asked` of a browser."""

    def __init__(self, requests: HostRequests, route: Route, asked: Scope) -> None:
        self._requests, self._route, self._asked = requests, route, asked
        self._open: set[_Exchange] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises BffError where the proxy would respond with one, and InvalidRequest for a path it would refuse."""
        exchange = _Exchange(self._requests, self._route, self._asked, request)
        self._open.add(exchange)
        exchange.when_done(self._open.discard)
        return await exchange.response(request.extensions.get("timeout", {}).get("read"))

    async def aclose(self) -> None:
        """Aborts the requests whose responses were neither read to the end nor closed."""
        for exchange in tuple(self._open):
            await exchange.aclose()


def own_scope(route: Route, asked: Scope, request: httpx.Request) -> Scope:
    """The ASGI scope of a request to an upstream. Raises InvalidRequest for a path outside of the upstream's."""
    target = request.url.raw_path
    path, _, query = target.partition(b"?")
    base = route.server.base_path.encode("ascii")
    refusal = check_path(path)
    if refusal is not None or not (path == base or path.startswith(base + b"/")):
        raise refusal or InvalidRequest("The path is not below the one of the upstream.")
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    about = [field for field in headers if field[0] in _PASSED_ON]
    return {
        "type": "http",
        "method": request.method,
        "raw_path": path,
        "query_string": query,
        "client": asked.get("client"),
        "headers": [*(field for field in asked["headers"] if field[0] == b"x-forwarded-for"), *about],
        OWN_REQUEST: OwnRequest(target, headers),
        ON_BEHALF_OF: asked,
    }


class _Exchange(httpx.AsyncByteStream):
    """One request and its response, whose body it is."""

    def __init__(self, requests: HostRequests, route: Route, asked: Scope, request: httpx.Request) -> None:
        self._body = _chunks(request)
        self._start: Message | None = None
        self._waiting: deque[bytes] = deque()
        self._arrived, self._taken, self._closed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        scope = own_scope(route, asked, request)
        self._task = asyncio.create_task(requests.call(route, asked, scope, self._receive, self._send))
        self._task.add_done_callback(lambda _: self._arrived.set())

    def when_done(self, call: "Callable[[_Exchange], None]") -> None:
        self._task.add_done_callback(lambda _: call(self))

    async def response(self, within: float | None) -> httpx.Response:
        """Raises what the proxy raised before the response began, and UpstreamTimeout `within` so many seconds."""
        try:
            async with asyncio.timeout(within):
                while self._start is None and not self._task.done():
                    await self._changed()
        except TimeoutError:
            await self.aclose()
            raise UpstreamTimeout from None
        except BaseException:
            await self.aclose()
            raise
        if self._start is None:
            self._task.result()
            raise UpstreamUnreachable
        return httpx.Response(self._start["status"], headers=self._start["headers"], stream=self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._waiting:
                chunk = self._waiting.popleft()
                self._taken.set()
                yield chunk
            if self._task.done():
                break
            await self._changed()
        try:
            self._task.result()
        except ResponseAborted:
            raise UpstreamUnreachable("The response of the API ended early.") from None

    async def aclose(self) -> None:
        self._closed.set()
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # it has been raised, or the response is not read to its end

    async def _changed(self) -> None:
        self._arrived.clear()
        if self._start is None or not self._waiting:
            await self._arrived.wait()

    async def _receive(self) -> Message:
        chunk = await anext(self._body, None)
        if chunk is not None:
            return {"type": "http.request", "body": chunk[0], "more_body": chunk[1]}
        await self._closed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message.get("body"):
            self._waiting.append(message["body"])
        self._arrived.set()
        while len(self._waiting) > _CHUNKS:
            self._taken.clear()
            await self._taken.wait()


async def _chunks(request: httpx.Request) -> AsyncIterator[tuple[bytes, bool]]:
    """The pieces of the body, each with whether another one follows."""
    assert isinstance(request.stream, httpx.AsyncByteStream)
    last: bytes | None = None
    async for chunk in request.stream:
        if last is not None:
            yield last, True
        last = chunk
    yield last or b"", False
