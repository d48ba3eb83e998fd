"""Outages as a page sees them, in three engines: requests wait, and the session goes on."""

from pathlib import Path

import pytest

from demo.simulator.grants import RotationPolicy
from tests.clients.served_page import (
    ALICE,
    begins_to_record,
    comes_of,
    served,
    shows,
    sign_in,
    states_seen,
    status_of,
)
from tests.clients.windows import WITHIN, Windows
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until

pytestmark = [pytest.mark.clients, pytest.mark.asyncio(loop_scope="session")]


async def test_an_outage_of_the_store_never_looks_like_signed_out(tmp_path: Path, spa: Path, windows: Windows) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with served(tmp_path, spa, windows, store=redis.url) as world:
            await sign_in(windows, world)
            redis.freeze()
            try:
                await windows.evaluate("void client.bff.session.refresh(true)")
                await shows(windows, f"{ALICE} stale")
            finally:
                redis.thaw()
            await shows(windows, ALICE)
            assert await status_of(windows, "/api/orders") == 200


async def test_requests_wait_out_an_outage_of_the_provider(tmp_path: Path, spa: Path, windows: Windows) -> None:
    rotation = RotationPolicy(access_token_lifetime=300)
    async with served(tmp_path, spa, windows, rotation=rotation) as world:
        await sign_in(windows, world)
        before = await world.stored()
        await begins_to_record(windows)
        await world.okta.control.down()
        world.advance(301)
        # The patience of 30 seconds would be that of a machine that is never busy.
        await windows.evaluate(
            "client.waits = { GET: [], POST: [] };"
            "for (const method of ['GET', 'POST']) client.bff.fetch('/api/orders', { method, maxWait: 1e9,"
            " body: method === 'POST' ? 'an order' : null, onWait: ({ code }) => client.waits[method].push(code) })"
            ".then((answer) => answer.status, (error) => error.code).then((found) => (client.results[method] = found))"
        )

        async def wait() -> bool:
            return bool(await windows.evaluate("return Object.values(client.waits).every((codes) => codes.length > 1)"))

        await until(wait, within=WITHIN)
        await windows.evaluate(
            "void client.bff.session.refresh(true).then(({ stale }) => (client.results.stale = stale))"
        )
        assert await comes_of(windows, "stale") is False, "the session needs no provider"
        assert world.upstream.heard == []
        await world.okta.control.up()
        assert [await comes_of(windows, method) for method in ("GET", "POST")] == [200, 200]
        assert set(await windows.evaluate("return Object.values(client.waits).flat()")) == {"provider_unavailable"}
        assert sorted((heard.method, heard.body) for heard in world.upstream.heard) == [
            ("GET", b""),
            ("POST", b"an order"),
        ]
        assert await states_seen(windows) == {ALICE}
        assert (await world.stored()).key == before.key
        assert world.okta.control.reuse_alarms == 0
