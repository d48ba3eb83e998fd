"""Ready is what may receive traffic; alive is what need not be restarted for another's outage."""

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


async def readiness(fleet: Fleet, status: int, **expected: bool) -> dict[str, bool]:
    """The checks, once the probe answers `status` and these checks: each check gives up soon, which any one may do."""
    checks: dict[str, bool] = {}

    async def answers() -> bool:
        try:
            answer = await probe(fleet, "/readyz")
        except httpx.TransportError:
            return False  # it does not listen yet
        checks.clear()
        checks.update(answer.json()["checks"])
        return answer.status_code == status and expected.items() <= checks.items()

    await until(answers)
    return checks


@pytest.mark.case("OP-007")
@pytest.mark.parametrize(("settings", "while_away"), [({}, 200), ({"ready_requires": "store"}, 503)])
async def test_a_store_that_is_away_signs_nobody_out_and_takes_out_a_replica_that_requires_it(
    tmp_path: Path, settings: dict[str, str], while_away: int
) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, replicas=1, patient=False, lifetime=3600, **settings) as fleet:
            well = {"serving": True, "store_reached": True, "store": True, "provider": True, "key_ring_in_sync": True}
            assert await readiness(fleet, 200, **well) == well
            (cookie,) = await fleet.signed_in()
            redis.freeze()
            await readiness(fleet, while_away, store=False)
            assert (await probe(fleet, "/livez")).json()["live"] is True
            answer = await fleet.call(cookie)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            redis.thaw()
            await readiness(fleet, 200, store=True)
            await fleet.served(cookie)  # signed out by nothing


@pytest.mark.case("OP-007")
async def test_a_store_that_is_full_takes_no_replica_out(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, replicas=1, patient=False, lifetime=3600) as fleet:
            (cookie,) = await fleet.signed_in()
            redis.ask("CONFIG", "SET", "maxmemory", "1")
            await readiness(fleet, 200, store=False)
            await until(lambda: metric(fleet, "bff_store_available 0.0"))
            await fleet.served(cookie)  # reading needs no memory
            redis.ask("CONFIG", "SET", "maxmemory", "0")
            await readiness(fleet, 200, store=True)
            await until(lambda: metric(fleet, "bff_store_available 1.0"))


async def metric(fleet: Fleet, line: str) -> bool:
    return line in (await probe(fleet, "/metrics")).text.splitlines()


@pytest.mark.case("OP-007")
async def test_a_replica_that_cannot_reach_its_store_at_the_start_waits_for_it(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, replicas=1, patient=False, lifetime=3600) as fleet:
            redis.freeze()
            fleet.replicas[0].process.kill()
            fleet.replicas[0].process.start()
            await readiness(fleet, 503, store_reached=False)
            redis.thaw()
            await readiness(fleet, 200, store=True)


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
