"""Ready is who can serve somebody; alive is who need not be killed for somebody else's outage."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.attack_cases import case
from tests.live.fleet import Fleet, running_fleet
from tests.plain_http import plain_http
from tests.redis_servers import one_server


async def probe(fleet: Fleet, path: str) -> httpx.Response:
    async with plain_http(timeout=10) as client:
        return await client.get(f"{fleet.replicas[0].management}{path}")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.05)


@case("OP-007")
async def test_a_store_that_is_away_takes_a_replica_out_and_kills_none(tmp_path: Path, attack: str) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, replicas=1, lifetime=3600) as fleet:

            async def readiness() -> tuple[int, Any]:
                answer = await probe(fleet, "/readyz")
                return answer.status_code, answer.json()["checks"]

            assert await readiness() == (200, {"serving": True, "store": True, "provider": True, "keys_agree": True})
            (cookie,) = await fleet.signed_in()
            redis.freeze()

            async def refused() -> bool:
                return (await readiness())[0] == 503

            await until(refused)
            assert (await probe(fleet, "/livez")).json() == {"live": True}
            answer = await fleet.call(cookie)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            redis.thaw()

            async def back() -> bool:
                return (await readiness())[0] == 200

            await until(back)
            assert (await fleet.call(cookie)).status_code == 200, "nobody was signed out by it"


@case("OP-007")
async def test_a_provider_that_is_away_takes_nobody_out(tmp_path: Path, attack: str) -> None:
    async with running_fleet(tmp_path, f"sqlite:///{tmp_path / 'bff.db'}", replicas=1, lifetime=3600) as fleet:
        (cookie,) = await fleet.signed_in()
        await fleet.okta.post("/down", how="refuse")
        assert (await probe(fleet, "/readyz")).status_code == 200
        assert (await probe(fleet, "/livez")).status_code == 200
        assert (await fleet.call(cookie)).status_code == 200
        await fleet.replicas[0].restart()
        answer = await probe(fleet, "/readyz")
        assert (answer.status_code, answer.json()["checks"]["provider"]) == (200, False)
        assert (await fleet.call(cookie)).status_code == 200, "a restart while Okta is away signs nobody out"
