"""Ready is who can serve somebody; alive is who need not be killed for somebody else's outage."""

from pathlib import Path

import httpx
import pytest

from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.proof.live.fleet import Fleet, running_fleet


async def probe(fleet: Fleet, path: str) -> httpx.Response:
    async with plain_http(timeout=30) as client:
        return await client.get(f"{fleet.replicas[0].management}{path}")


async def readiness(fleet: Fleet, status: int) -> dict[str, bool]:
    """The checks, once the probe answers `status`: a probe gives up after two seconds, which any one may take."""
    checks: dict[str, bool] = {}

    async def answers() -> bool:
        answer = await probe(fleet, "/readyz")
        checks.update(answer.json()["checks"])
        return answer.status_code == status

    await until(answers)
    return checks


@pytest.mark.case("OP-007")
async def test_a_store_that_is_away_takes_a_replica_out_and_kills_none(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, replicas=1, lifetime=3600) as fleet:
            well = {"serving": True, "store": True, "provider": True, "key_ring_in_sync": True}
            assert await readiness(fleet, 200) == well
            (cookie,) = await fleet.signed_in()
            redis.freeze()
            await readiness(fleet, 503)
            assert (await probe(fleet, "/livez")).json() == {"live": True}
            answer = await fleet.call(cookie)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            redis.thaw()
            await readiness(fleet, 200)
            assert (await fleet.call(cookie)).status_code == 200, "nobody was signed out by it"


@pytest.mark.case("OP-007")
async def test_a_provider_that_is_away_takes_nobody_out(tmp_path: Path) -> None:
    async with running_fleet(tmp_path, f"sqlite:///{tmp_path / 'bff.db'}", replicas=1, lifetime=3600) as fleet:
        (cookie,) = await fleet.signed_in()
        await fleet.okta.post("/down", how="refuse")
        await readiness(fleet, 200)
        assert (await probe(fleet, "/livez")).status_code == 200
        assert (await fleet.call(cookie)).status_code == 200
        await fleet.replicas[0].restart()
        assert (await readiness(fleet, 200))["provider"] is False
        assert (await fleet.call(cookie)).status_code == 200, "a restart while Okta is away signs nobody out"
