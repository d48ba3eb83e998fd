"""SIGTERM to `bff serve`: unready first, streams closed, requests in progress answered, a bounded end.

A refresh under way gets its answer: tests/proof/live/test_replicas.py, the Unix sockets are in tests/journeys/process.
"""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bff.app import build_app
from bff.config.settings import load_settings
from bff.server.uvicorn_0_54.server import DRAIN
from tests.harness.asgi_call import call
from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.harness.settings import with_changes
from tests.harness.streams import Page, closing_of, echoed
from tests.harness.waiting import until
from tests.harness.world import Upstream, listening, serving
from tests.proof.live.fleet import Replica, running_fleet

DELAY = 1  # seconds between not ready and nobody let in
WHILE_WE_LOOK = 300  # a delay that ends when we have seen enough: by the second signal


@dataclass
class Served:
    replica: Replica
    upstream: Upstream
    page: Page

    async def ready(self) -> int:
        async with plain_http(timeout=30) as client:
            return (await client.get(f"{self.replica.management}/readyz")).status_code

    def stop(self) -> None:
        self.replica.process.signal(signal.SIGTERM)

    async def begins_to_stop(self) -> None:
        self.stop()

        async def unready() -> bool:
            return await self.ready() == 503

        await until(unready)


@asynccontextmanager
async def served(folder: Path, delay: int = DELAY) -> AsyncIterator[Served]:
    """One process with somebody signed in, in front of an upstream that does not end by itself."""
    upstream = Upstream()
    with listening() as api:
        route = {"prefix": "/api", "upstream": f"http://127.0.0.1:{api.getsockname()[1]}", "websocket": True}
        store, settings = f"sqlite:///{folder / 'bff.db'}", {"drain_delay": str(delay), "routes": json.dumps([route])}
        async with (
            serving(upstream, api),
            running_fleet(folder, store, replicas=1, lifetime=3600, **settings) as fleet,
        ):
            (replica,) = fleet.replicas
            browser = Browser(replica.url)
            await browser.sign_in()
            yield Served(replica, upstream, Page(replica.url, browser))
            await browser.close()


async def test_streams_are_closed_and_requests_in_progress_are_answered(tmp_path: Path) -> None:
    async with (
        served(tmp_path, WHILE_WE_LOOK) as bff,
        bff.page.reading("/api/events") as events,
        bff.page.socket(bff.replica.url) as socket,
    ):
        await events.next()
        assert await echoed(socket, "hello")
        slow = asyncio.create_task(bff.page.fetch("/api/slow"))
        await until(lambda: "slow" in bff.upstream.open)
        await bff.begins_to_stop()
        bff.upstream.goes_on.set()
        await events.next()
        assert await echoed(socket, "still here"), "whoever came back now would reach this process again"
        bff.stop()
        assert await events.end() == "whole", "an EventSource opens it again, without an error"
        assert await closing_of(socket) == (1012, "restarting")
        bff.upstream.may_answer.set()
        assert (await slow).status_code == 200
        assert await bff.replica.process.ended() == 0
        await until(lambda: not bff.upstream.open)


async def test_every_port_for_requests_asks_its_clients_to_connect_again(tmp_path: Path) -> None:
    changes = {"store": f"sqlite:///{tmp_path}/bff.db", "forward_auth_listen": "127.0.0.1:1", "trusted_proxies": "unix"}
    app = build_app(load_settings(with_changes(**changes)))
    for port in (app, app.forward_auth):
        assert (await call(port, "GET", "/auth/verify")).one("connection") is None
    app.begin_to_stop()
    for port in (app, app.forward_auth):
        assert (await call(port, "GET", "/auth/verify")).one("connection") == "close"
    await app.stores.sessions.close()


@pytest.mark.long
async def test_an_answer_that_never_comes_delays_the_end_for_the_drain_timeout_only(tmp_path: Path) -> None:
    async with served(tmp_path) as bff:
        slow = asyncio.create_task(bff.page.fetch("/api/slow"))
        await until(lambda: "slow" in bff.upstream.open)
        began = time.monotonic()
        bff.stop()
        await bff.replica.process.ended()
        assert time.monotonic() - began >= DELAY + DRAIN
        assert (await slow).status_code == 500, "a caller who waits is not left without a word"
