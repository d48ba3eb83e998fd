"""Callers without a cookie jar, as many as anybody likes."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx

from tests.harness.http_browser import FETCH, NAVIGATION
from tests.harness.plain_http import plain_http
from tests.harness.world import World


class _NoCookies(DefaultCookiePolicy):
    def set_ok(self, cookie: Any, request: Any) -> bool:
        return False


@asynccontextmanager
async def crowd(world: World) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=50)
    async with plain_http(base_url=world.public_url, timeout=120, limits=limits) as client:
        client.cookies.jar.set_policy(_NoCookies())
        yield client


async def ask_from(client: httpx.AsyncClient, path: str, address: str, method: str = "GET") -> httpx.Response:
    """As the proxy passes it on: a navigation, or with POST a call of our own page."""
    headers = {**FETCH, "x-csrf": "1"} if method == "POST" else NAVIGATION
    return await client.request(method, path, headers={**headers, "x-forwarded-for": address})


async def flood_from(client: httpx.AsyncClient, path: str, addresses: Iterable[str], method: str = "GET") -> list[int]:
    """The statuses, all asked for at once."""
    answers = await asyncio.gather(*(ask_from(client, path, address, method) for address in addresses))
    return [answer.status_code for answer in answers]
