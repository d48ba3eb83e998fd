"""What a page does with an upstream that does not end by itself: event streams and WebSockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from tests.harness.http_browser import FETCH, Browser
from tests.harness.plain_http import plain_http

PATIENCE = 60  # seconds; a limit that fails a test. HTTP's own is longer: it must not pass for a broken stream


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
