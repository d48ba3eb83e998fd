"""Two replicas on Redis behind nginx as we ship it, under load, with refreshes going on: restarted, and killed."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import pytest_asyncio

from tests.harness.nginx import running_nginx, shipped_config
from tests.harness.ports import free_port
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.proof.live.fleet import Fleet, running_fleet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("rolling_restart")]

DRAIN_DELAY = 2  # seconds, as in docker-compose.yml
IDEMPOTENT = ("GET", "GET", "GET", "HEAD", "PUT", "DELETE")
UNREACHED = 0  # in place of a status
LIFETIME = 3  # seconds of an access token; Okta renews for one person four times a second at most


@dataclass
class Load:
    """People who call the API without a pause to speak of, and people who sign in, all through nginx."""

    fleet: Fleet
    cookies: list[str]
    sign_in: bool = True
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    sign_ins: int = 0
    _chance: random.Random = field(default_factory=lambda: random.Random(7))

    @asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as people:
            for cookie in self.cookies:
                people.create_task(self._call_until(over, cookie))
            if self.sign_in:
                people.create_task(self._sign_in_until(over))
            try:
                await self.goes_on()
                yield
                await self.goes_on()
            finally:
                over.set()

    async def goes_on(self) -> None:
        """Waits for twenty more answers, and for a sign-in."""
        wanted, sign_ins = self.answers["GET", 200] + 20, self.sign_ins + self.sign_in
        await until(lambda: self.answers["GET", 200] >= wanted and self.sign_ins >= sign_ins)

    async def _call_until(self, over: asyncio.Event, cookie: str) -> None:
        while not over.is_set():
            method = self._chance.choice((*IDEMPOTENT, "POST"))
            try:
                status = (await self.fleet.call_public(cookie, method=method)).status_code
            except httpx.TransportError:
                status = UNREACHED
            self.answers[method, status] += 1
            await asyncio.sleep(self._chance.uniform(0.02, 0.2))

    async def _sign_in_until(self, over: asyncio.Event) -> None:
        while not over.is_set():
            (cookie,) = await self.fleet.signed_in()
            assert (await self.fleet.call_public(cookie)).status_code == 200
            self.sign_ins += 1
            await self.fleet.call_public(cookie, "/auth/logout", "POST")
            await asyncio.sleep(1)

    def failed(self, *methods: str) -> dict[tuple[str, int], int]:
        return {key: count for key, count in self.answers.items() if key[0] in methods and key[1] != 200}

    @property
    def statuses(self) -> set[int]:
        return {status for _, status in self.answers}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    directory = tmp_path_factory.mktemp("rolling")
    front, ports = free_port(), [free_port(), free_port()]
    config = shipped_config(directory / "nginx", front, ports)
    with one_server(directory / "redis") as redis:
        async with (
            running_nginx(directory / "nginx", config, front),
            running_fleet(
                directory,
                redis.url,
                lifetime=LIFETIME,
                ports=ports,
                front=front,
                drain_delay=str(DRAIN_DELAY),
                # Seconds between a reservation and its request, so that a busy machine puts off no refresh.
                refresh_timeout="4",
                refresh_lease="10",
                trusted_proxies="127.0.0.1",
            ) as running,
        ):
            yield running


async def eight_sessions(fleet: Fleet) -> list[str]:
    return [*await fleet.signed_in(4), *await fleet.signed_in(4, "bob@example.com")]


async def all_are_still_signed_in(fleet: Fleet, cookies: list[str]) -> None:
    """Who was killed in the middle of a refresh has to be waited for: 503 until the lease is over, never 401."""
    for cookie in cookies:
        await fleet.served(cookie)
    assert (await fleet.okta.state())["reuse_alarms"] == 0


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=pytest.mark.long)])
async def test_a_rolling_restart_fails_no_idempotent_request_and_ends_no_session(fleet: Fleet, rounds: int) -> None:
    load = Load(fleet, await eight_sessions(fleet))
    before = (await fleet.okta.state())["refresh_requests"]
    async with load.under_way():
        for _ in range(rounds):
            for replica in fleet.replicas:
                await replica.restart_in_order()
                await load.goes_on()
    refreshes = (await fleet.okta.state())["refresh_requests"] - before
    print(f"rounds {rounds}, calls {dict(load.answers)}, sign-ins {load.sign_ins}, refreshes {refreshes}")
    assert load.failed(*IDEMPOTENT) == {}
    assert refreshes > 0
    await all_are_still_signed_in(fleet, load.cookies)


@pytest.mark.long
async def test_a_replica_killed_behind_nginx_ends_no_session(fleet: Fleet) -> None:
    kills, load = (
        12,
        Load(fleet, await eight_sessions(fleet), sign_in=False),
    )  # a sign-in that dies half way is begun again
    async with load.under_way():
        for number in range(kills):
            await fleet.replicas[number % 2].restart()  # SIGKILL, then started again
            await load.goes_on()
    print(f"SIGKILLs {kills}, calls {dict(load.answers)}, failed {load.failed(*IDEMPOTENT, 'POST')}")
    assert 401 not in load.statuses
    assert load.statuses <= {UNREACHED, 200, 502, 503}
    await all_are_still_signed_in(fleet, load.cookies)
