"""An upstream that does not end by itself, and what a page does with it: event streams, WebSockets, long answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.harness.http_browser import FETCH, Browser
from tests.harness.plain_http import plain_http
from tests.harness.waiting import until
from tests.harness.world import World, small_world

TICK = 0.02  # seconds between two events
PATIENCE = 60  # seconds; a limit that fails a test. HTTP's own is longer: it must not pass for a broken stream


@dataclass
class EndlessUpstream:
    """Remembers in `order` what began and what ended at it."""

    order: list[str] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = scope["path"].rpartition("/")[2]
        self.order.append(f"{name} begins")
        try:
            if scope["type"] == "websocket":
                await self._echo(receive, send)
            elif name == "slow":
                await self._slow(receive, send)
            else:
                await self._pour(name, receive, send)
        finally:
            self.order.append(f"{name} ends")

    async def _echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    async def _pour(self, name: str, receive: Receive, send: Send) -> None:
        kind = b"text/event-stream; charset=utf-8" if name == "events" else b"application/octet-stream"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        gone = asyncio.create_task(self._gone(receive))
        try:
            number = 0
            while not gone.done():
                number += 1
                piece = b"data: %d\n\n" % number if name != "flood" else b"x" * 65536
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(TICK if name != "flood" else 0)
        finally:
            gone.cancel()

    async def _slow(self, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(self._gone(receive))
        answer = asyncio.create_task(self.may_answer.wait())
        await asyncio.wait([gone, answer], return_when=asyncio.FIRST_COMPLETED)
        for task in (gone, answer):
            task.cancel()
        fields = [(b"content-length", b"4")]
        with contextlib.suppress(OSError):
            await send({"type": "http.response.start", "status": 200, "headers": fields})
            await send({"type": "http.response.body", "body": b"done"})

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def has_ended(self, *names: str) -> None:
        await until(lambda: {f"{name} ends" for name in names} <= set(self.order))

    async def has_begun(self, name: str) -> None:
        await until(lambda: f"{name} begins" in self.order)


@dataclass
class Events:
    """An open answer as a script reads it."""

    status: int
    _chunks: AsyncIterator[bytes]

    async def next(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await anext(self._chunks)

    async def end(self) -> str:
        """How it ends: `whole` as if the upstream had finished, `broken` as a script sees an error."""
        try:
            async with asyncio.timeout(PATIENCE):
                async for _ in self._chunks:
                    pass
        except httpx.TransportError:
            return "broken"
        return "whole"


@dataclass
class Page:
    """A page of the SPA in one browser, on one replica."""

    url: str
    browser: Browser

    @property
    def _cookie(self) -> str:
        return f"bff-session={self.browser.cookie('bff-session')}"

    async def fetch(self, path: str, method: str = "GET") -> httpx.Response:
        async with plain_http(timeout=2 * PATIENCE) as client:
            headers = {**FETCH, "x-csrf": "1", "cookie": self._cookie}
            return await client.request(method, self.url + path, headers=headers)

    @asynccontextmanager
    async def reading(self, path: str) -> AsyncIterator[Events]:
        headers = {**FETCH, "x-csrf": "1", "cookie": self._cookie}
        async with (
            plain_http(timeout=2 * PATIENCE) as client,
            client.stream("GET", self.url + path, headers=headers) as answer,
        ):
            yield Events(answer.status_code, answer.aiter_raw())

    @asynccontextmanager
    async def socket(self, public_url: str, path: str = "/api/socket") -> AsyncIterator[ClientConnection]:
        url = f"ws://127.0.0.1:{urlsplit(self.url).port}{path}"
        cookies = {"Cookie": self._cookie}
        async with connect(
            url, origin=Origin(public_url), additional_headers=cookies, proxy=None, open_timeout=PATIENCE
        ) as connection:
            yield connection


async def echoed(connection: ClientConnection, text: str) -> bool:
    await connection.send(text)
    return await asyncio.wait_for(connection.recv(), PATIENCE) == text


async def closing_of(connection: ClientConnection) -> tuple[int | None, str | None]:
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                await connection.recv()
    return connection.close_code, connection.close_reason


@asynccontextmanager
async def endless_world(
    directory: Path, *, route: dict[str, Any] | None = None, **changes: str
) -> AsyncIterator[tuple[World, EndlessUpstream]]:
    """A small world whose /api is the endless upstream; `route` adds keys to its route."""
    upstream = EndlessUpstream()
    async with small_world(directory, api=upstream, route={"websocket": True, **(route or {})}, **changes) as world:
        yield world, upstream
