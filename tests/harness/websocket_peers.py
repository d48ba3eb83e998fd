"""Both ends of a WebSocket through the proxy: a browser's page, and an upstream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from bff.config.routes import Route
from tests.harness.proxy_server import PUBLIC
from tests.harness.raw_http import Response, send
from tests.harness.routes import a_route
from tests.harness.waiting import PATIENCE

Handler: TypeAlias = Callable[[ServerConnection], Awaitable[None]]
OUR_PAGE = f"Origin: {PUBLIC}"


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def socket_upstream(handler: Handler = echo, **options: Any) -> AsyncIterator[str]:
    """A WebSocket server; gives its URL."""
    usual = {"max_size": None, "compression": None, "open_timeout": PATIENCE}
    async with serve(handler, "127.0.0.1", 0, **{**usual, **options}) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def to(url: str, **options: Any) -> Route:
    return a_route(upstream=url, **{"websocket": True, "connect_timeout": PATIENCE, **options})


@asynccontextmanager
async def browser(port: int, path: str = "/api/socket", **options: Any) -> AsyncIterator[ClientConnection]:
    """A browser's WebSocket on our page, as Alice. It offers compression, as browsers do."""
    cookies = {"Cookie": "user=alice; theme=dark; __Host-Http-session=x"}
    usual = {"origin": Origin(PUBLIC), "additional_headers": cookies, "max_size": None, "open_timeout": PATIENCE}
    async with connect(f"ws://127.0.0.1:{port}{path}", **{"proxy": None, **usual, **options}) as connection:
        yield connection


async def closing_of(connection: ClientConnection | ServerConnection) -> tuple[int, str]:
    """The close frame that was received: code and reason."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                await connection.recv()
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


class ClosesHeard:
    """An upstream that only listens for the close frame."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def __call__(self, connection: ServerConnection) -> None:
        self._heard.put_nowait(await closing_of(connection))

    async def next(self) -> tuple[int, str]:
        return await asyncio.wait_for(self._heard.get(), PATIENCE)


async def handshake(port: int, *fields: str, path: str = "/api/socket", user: str | None = "alice") -> Response:
    """The handshake as bytes, for responses that open no WebSocket."""
    lines = [f"GET {path} HTTP/1.1", "Host: app.example", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *fields]
    if user is not None:
        lines.append(f"Cookie: user={user}")
    return await send(port, "\r\n".join(lines) + "\r\n\r\n")
