"""Ready is what may receive traffic; alive is what need not be restarted for another's outage."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import RedisServer, one_server
from tests.harness.waiting import until
from tests.proof.live.fleet import Fleet, running_fleet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("readiness")]
REQUIRING = 1  # the replica that is ready only with its store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    with one_server(tmp_path_factory.mktemp("readiness") / "redis") as redis:
        yield redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(store: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """Two replicas; every test leaves them ready."""
    own = {REQUIRING: {"BFF_READY_REQUIRES": "store"}}
    folder = tmp_path_factory.mktemp("readiness")
    async with running_fleet(folder, store.url, replicas=2, patient=False, lifetime=3600, own=own) as running:
        yield running


async def probe(fleet: Fleet, path: str, replica: int = 0) -> httpx.Response:
    async with plain_http(timeout=30) as client:
        return await client.get(f"{fleet.replicas[replica].management}{path}")


async def readiness(fleet: Fleet, status: int, replica: int = 0, **expected: bool) -> dict[str, bool]:
    """The checks, once the probe answers `status` and these checks: each check gives up soon, which any one may do."""
    checks: dict[str, bool] = {}

    async def answers() -> bool:
        try:
            answer = await probe(fleet, "/readyz", replica)
        except httpx.TransportError:
            return False  # it does not listen yet
        checks.clear()
        checks.update(answer.json()["checks"])
        return answer.status_code == status and expected.items() <= checks.items()

    await until(answers)
    return checks


@pytest.mark.case("OP-007")
async def test_a_store_that_is_away_signs_nobody_out_and_takes_out_a_replica_that_requires_it(
    fleet: Fleet, store: RedisServer
) -> None:
    well = {"serving": True, "store_reached": True, "store": True, "provider": True, "key_ring_in_sync": True}
    for replica in range(2):
        assert await readiness(fleet, 200, replica, **well) == well
    (cookie,) = await fleet.signed_in()
    store.freeze()
    for replica, while_away in ((0, 200), (REQUIRING, 503)):
        await readiness(fleet, while_away, replica, store=False)
        assert (await probe(fleet, "/livez", replica)).json()["live"] is True
        answer = await fleet.call(cookie, replica)
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
    store.thaw()
    for replica in range(2):
        await readiness(fleet, 200, replica, store=True)
        await fleet.served(cookie, replica)  # signed out by nothing


@pytest.mark.case("OP-007")
async def test_a_store_that_is_full_takes_no_replica_out(fleet: Fleet, store: RedisServer) -> None:
    (cookie,) = await fleet.signed_in()
    store.ask("CONFIG", "SET", "maxmemory", "1")
    await readiness(fleet, 200, store=False)
    await until(lambda: metric(fleet, "bff_store_available 0.0"))
    await fleet.served(cookie, 0)  # reading needs no memory
    store.ask("CONFIG", "SET", "maxmemory", "0")
    await readiness(fleet, 200, store=True)
    await until(lambda: metric(fleet, "bff_store_available 1.0"))
    await readiness(fleet, 200, REQUIRING, store=True)


@pytest.mark.case("OP-007")
async def test_a_replica_that_cannot_reach_its_store_at_the_start_waits_for_it(
    fleet: Fleet, store: RedisServer
) -> None:
    store.freeze()
    fleet.replicas[0].process.kill()
    fleet.replicas[0].process.start()
    await readiness(fleet, 503, store_reached=False)
    store.thaw()
    for replica in range(2):
        await readiness(fleet, 200, replica, store=True)


async def metric(fleet: Fleet, line: str) -> bool:
    return line in (await probe(fleet, "/metrics")).text.splitlines()


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
