"""`bff serve --workers 2` beside another `bff serve`, on one SQLite file: what holds for replicas holds for them."""

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.harness.plain_http import plain_http
from tests.harness.raw_http import Reader, Writer, read_response
from tests.harness.waiting import until
from tests.proof.live.fleet import STARTS, Fleet, running_fleet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("workers")]

UNREACHED = 0  # in place of a status
RATE = 120  # requests a minute to each endpoint of sign-in and sign-out, of all clients


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """The first replica has two workers, the second is a process of its own."""
    directory = tmp_path_factory.mktemp("workers")
    async with running_fleet(
        directory,
        f"sqlite:///{directory}/store/bff.db",
        replicas=2,
        lifetime=3600,
        own={0: {"BFF_WORKERS": "2"}},
        access_log="true",
        sign_in_rate=str(RATE),
        sign_in_rate_per_client="0",
        refresh_timeout="4",
        refresh_lease="10",
    ) as running:
        await until(lambda: "ready: open" in running.replicas[0].process.log.read_text(), within=STARTS)
        yield running


def pids(fleet: Fleet) -> list[int]:
    """Of the workers, in the order of their starts."""
    assert fleet.replicas[0].process._process is not None
    children = subprocess.run(
        ["pgrep", "-P", str(fleet.replicas[0].process._process.pid)], capture_output=True, text=True, check=True
    )
    return [int(pid) for pid in children.stdout.split()]


def records(fleet: Fleet) -> list[dict[str, object]]:
    lines = fleet.replicas[0].process.log.read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]


async def ready(fleet: Fleet) -> tuple[int, dict[str, bool]]:
    async with plain_http() as client:
        response = await client.get(f"{fleet.replicas[0].management}/readyz")
        return response.status_code, response.json()["checks"]


async def all_workers_serve(fleet: Fleet) -> None:
    async def serve() -> bool:
        status, checks = await ready(fleet)
        return status == 200 and checks["all_workers"]

    await until(serve, within=STARTS)


class Load:
    """Users who call the API without a pause to speak of, over connections that stay open; every method."""

    def __init__(self, fleet: Fleet, cookies: list[str]) -> None:
        self.fleet, self.cookies = fleet, cookies
        self.answers: Counter[int] = Counter()
        self._chance = random.Random(7)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as users:
            for cookie in self.cookies:
                users.create_task(self._call_until(over, cookie))
            try:
                await self.goes_on()
                yield
                await self.goes_on()
            finally:
                over.set()

    async def goes_on(self) -> None:
        wanted = self.answers[200] + 50
        await until(lambda: self.answers[200] >= wanted)

    async def _call_until(self, over: asyncio.Event, cookie: str) -> None:
        while not over.is_set():
            method = self._chance.choice(("GET", "GET", "POST", "PUT", "DELETE"))
            try:
                status = (await self.fleet.call(cookie, 0, method=method)).status_code
            except httpx.TransportError:
                status = UNREACHED
            self.answers[status] += 1
            await asyncio.sleep(self._chance.uniform(0.0, 0.15))


async def test_five_hundred_callers_of_three_processes_cost_one_token_request(fleet: Fleet) -> None:
    (cookie,) = await fleet.expired_sessions()
    before = await fleet.okta.state()
    forwarded = await fleet.metric("bff_proxy_requests_total", route="/api")
    answers = await asyncio.gather(*(fleet.call(cookie, number % 5 == 0) for number in range(500)))
    assert {answer.status_code for answer in answers} == {200}
    after = await fleet.okta.state()
    assert after["refresh_requests"] == before["refresh_requests"] + 1
    assert after["reuse_alarms"] == before["reuse_alarms"]
    assert await fleet.metric("bff_proxy_requests_total", route="/api") == forwarded + 500, "one truth of all workers"
    served_by = {record.get("worker") for record in records(fleet) if record["logger"] == "bff.access"}
    assert {0, 1} <= served_by, "both workers have served"


async def test_a_sign_out_counts_everywhere_from_the_next_request_on(fleet: Fleet) -> None:
    for cookie in await fleet.signed_in(3):
        assert (await fleet.sign_out(cookie)).status_code == 200
        # New connections, so that both workers get some of them.
        async with plain_http(limits=httpx.Limits(max_keepalive_connections=0)) as client:
            for _ in range(12):
                response = await client.get(f"{fleet.replicas[0].url}/api/x", headers={"cookie": cookie, "x-csrf": "1"})
                assert response.status_code == 401
        assert (await fleet.call(cookie, 1)).status_code == 401


async def test_a_sign_out_closes_the_open_streams_of_every_worker(fleet: Fleet) -> None:
    (cookie,) = await fleet.signed_in()
    headers, opened = {"cookie": cookie, "x-csrf": "1", "accept": "text/event-stream"}, asyncio.Semaphore(0)

    async def stream(number: int) -> float:
        """When it was closed."""
        url = f"{fleet.replicas[number % 6 == 0].url}/api/events"
        async with plain_http(timeout=60) as client, client.stream("GET", url, headers=headers) as response:
            assert response.status_code == 200
            opened.release()
            try:
                async for _ in response.aiter_raw():
                    pass
            except httpx.TransportError:
                pass
            return time.monotonic()

    streams = [asyncio.create_task(stream(number)) for number in range(24)]
    for _ in streams:
        await opened.acquire()
    ended_at = time.monotonic()
    assert (await fleet.sign_out(cookie)).status_code == 200
    closed = sorted(closed_at - ended_at for closed_at in await asyncio.gather(*streams))
    print(f"streams closed after {closed[0] * 1000:.0f} to {closed[-1] * 1000:.0f} ms")


async def test_a_rate_limit_is_that_of_the_machine(fleet: Fleet) -> None:
    began, accepted = time.monotonic(), 0
    async with plain_http(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        for _ in range(4 * RATE):
            response = await client.post(f"{fleet.replicas[0].url}/auth/logout", headers={"x-csrf": "1"})
            if response.status_code == 429:
                break
            accepted += 1
    meanwhile = (time.monotonic() - began) * RATE / 60
    assert RATE <= accepted <= RATE + meanwhile + 1, "of new connections each worker gets some"


class IdleConnections:
    """Of a proxy: open, and used only now and then."""

    def __init__(self, fleet: Fleet) -> None:
        self.port = int(fleet.replicas[0].url.rpartition(":")[2])
        self.open: list[tuple[Reader, Writer]] = []

    async def request_each(self) -> None:
        """Every connection answers; those that say that it was their last response are closed."""
        for connection in tuple(self.open):
            reader, writer = connection
            writer.write(f"GET /auth/session HTTP/1.1\r\nhost: localhost:{self.port}\r\n\r\n".encode())
            response = await read_response(reader)
            assert (response.status, response.complete) == (200, True)
            if response.one("connection") == "close":
                self.open.remove(connection)
                writer.close()

    @asynccontextmanager
    async def kept(self, count: int = 12) -> AsyncIterator[None]:
        self.open = [await asyncio.open_connection("127.0.0.1", self.port) for _ in range(count)]
        await self.request_each()
        assert len(self.open) == count
        try:
            yield
        finally:
            for _, writer in self.open:
                writer.close()


async def test_a_worker_that_is_replaced_answers_on_its_idle_connections_until_they_are_closed(fleet: Fleet) -> None:
    await all_workers_serve(fleet)
    idle, log = IdleConnections(fleet), fleet.replicas[0].process.log
    begun, over = (log.read_text().count(text) for text in ("another worker takes over", "workers were replaced"))
    async with idle.kept():
        fleet.replicas[0].process.signal(signal.SIGUSR2)
        for worker in (1, 2):
            await until(
                lambda worker=worker: log.read_text().count("another worker takes over") == begun + worker,
                within=STARTS,
            )
            # Time in which a worker that does not leave idle connections to their clients would close them.
            await asyncio.sleep(0.5)
            await idle.request_each()
        assert idle.open == [], "both workers asked for a new connection"

        async def replaced() -> bool:
            # Other tests of this fleet may have left idle connections, on which a worker answers for 75 seconds.
            await fleet.callers.get(f"{fleet.replicas[0].url}/auth/session")
            return log.read_text().count("workers were replaced") == over + 1

        await until(replaced, within=STARTS)


@pytest.mark.parametrize("rolls", [1, pytest.param(10, marks=pytest.mark.long)])
async def test_replacing_the_workers_fails_no_request(fleet: Fleet, rolls: int) -> None:
    await all_workers_serve(fleet)
    load = Load(fleet, await fleet.signed_in(8))
    before, log = pids(fleet), fleet.replicas[0].process.log
    done = log.read_text().count("workers were replaced")
    async with load.running():
        for number in range(rolls):
            fleet.replicas[0].process.signal(signal.SIGUSR2)
            await until(
                lambda number=number: log.read_text().count("workers were replaced") == done + number + 1, within=STARTS
            )
            await load.goes_on()
    print(f"rolls {rolls}, calls {dict(load.answers)}")
    assert set(load.answers) == {200}
    assert set(before).isdisjoint(pids(fleet))


@pytest.mark.parametrize("kills", [1, pytest.param(100, marks=pytest.mark.long)])
async def test_a_worker_killed_under_load_ends_no_session(fleet: Fleet, kills: int) -> None:
    await all_workers_serve(fleet)
    chance = random.Random(kills)
    await fleet.okta.post("/settings", access_token_lifetime=3)  # refreshes go on
    load = Load(fleet, [*await fleet.signed_in(4), *await fleet.signed_in(4, "bob@example.com")])
    restarts = await fleet.metric("bff_worker_restarts_total")
    async with load.running():
        for number in range(kills):
            served = load.answers[200] + chance.randrange(50)
            await until(lambda served=served: load.answers[200] > served)
            os.kill(chance.choice(pids(fleet)), signal.SIGKILL)

            async def restarted(number: int = number) -> bool:
                return await fleet.metric("bff_worker_restarts_total") == restarts + number + 1

            await until(restarted, within=STARTS)
            await all_workers_serve(fleet)
    for cookie in load.cookies:
        await fleet.served(cookie, 0)
        await fleet.served(cookie, 1)
    print(f"SIGKILLs {kills}, calls {dict(load.answers)}")
    assert set(load.answers) <= {UNREACHED, 200, 503}
    assert (await fleet.okta.state())["reuse_alarms"] == 0
    await fleet.okta.post("/settings", access_token_lifetime=3600)


async def test_sigterm_ends_the_supervisor_and_all_workers(fleet: Fleet) -> None:
    await all_workers_serve(fleet)
    (cookie,) = await fleet.signed_in()
    workers, process = pids(fleet), fleet.replicas[0].process
    process.signal(signal.SIGTERM)
    assert await process.ended() == 0
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []
    assert (await fleet.call(cookie, 1)).status_code == 200, "the other process serves on"


@pytest.mark.long
async def test_workers_end_when_their_supervisor_is_killed(fleet: Fleet) -> None:
    process = fleet.replicas[0].process
    process.kill()
    process.start()
    await process.answers()
    await all_workers_serve(fleet)
    workers = pids(fleet)
    process.kill()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
