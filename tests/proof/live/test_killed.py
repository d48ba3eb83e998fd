"""SIGKILL and SIGSTOP at every step of a refresh: nobody is signed out, and the provider never sees a reuse."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from bff.storage.redis.scripts import REPLACE
from tests.harness.redis_servers import one_server
from tests.proof.live.fleet import Fleet, running_fleet
from tests.proof.live.tripwire import Side, Tripwire

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("killed")]

# Two seconds between a reservation and its request: with less a busy machine sends none, and no wire is touched.
LEASE = 4.0
TIMINGS = {"refresh_timeout": "2", "refresh_lease": str(LEASE)}
TOKEN_REQUEST = b"grant_type=refresh_token"  # the body, which leaves last: before it nothing was asked
STORED = REPLACE.sha.encode()


@dataclass
class Scene:
    fleet: Fleet
    to_redis: Tripwire  # of replica 0, the victim
    due: list[str] = field(default_factory=list)

    async def due_session(self) -> str:
        """Someone signed in whose access token has expired; the next one lives for an hour.

        Whom nobody calls nobody renews: they wait together for the two seconds, and then one by one for their test.
        """
        if not self.due:
            await self.fleet.okta.post("/settings", access_token_lifetime=2)
            self.due = await self.fleet.signed_in(1 + 2 * len(STEPS))
            await self.fleet.okta.post("/settings", access_token_lifetime=3600)
            await asyncio.sleep(2.0)
        return self.due.pop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    directory = tmp_path_factory.mktemp("killed")
    with one_server(directory / "redis") as redis:
        to_redis = Tripwire(redis.port)
        await to_redis.start()
        through = f"redis://127.0.0.1:{to_redis.port}"
        try:
            async with running_fleet(directory, redis.url, replicas=2, stores={0: through}, **TIMINGS) as fleet:
                scene = Scene(fleet, to_redis)
                # A first refresh loads the scripts, so that every later write is recognised by its digest.
                assert (await fleet.call(await scene.due_session())).status_code == 200
                yield scene
        finally:
            await to_redis.close()


async def served_again(fleet: Fleet, cookie: str, replica: int) -> None:
    """The person is answered 200 in the end, and never told to sign in."""
    async with asyncio.timeout(60):
        while True:
            answer = await fleet.call(cookie, replica)
            if answer.status_code == 200:
                return
            assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.2)


STEPS: list[tuple[str, str, bytes, Side, int]] = [
    ("RF-062 before the reservation is stored", "redis", STORED, "request", 0),
    ("RF-062 reservation stored, reply not read", "redis", STORED, "answer", 0),
    ("RF-015 token request on its way", "okta", TOKEN_REQUEST, "request", 0),
    ("RF-015 rotated, answer not read", "okta", TOKEN_REQUEST, "answer", 0),
    ("RF-016 answer read, result not stored", "redis", STORED, "request", 1),
    ("RF-017 result stored, reply not read", "redis", STORED, "answer", 1),
]


def set_wire(scene: Scene, where: str, word: bytes, side: Side, skip: int, act: Callable[[], Awaitable[bool]]) -> None:
    wire = scene.to_redis if where == "redis" else scene.fleet.to_okta
    wire.once(word, side, act, skip=skip)


@pytest.mark.parametrize(
    ("where", "word", "side", "skip"), [step[1:] for step in STEPS], ids=[step[0] for step in STEPS]
)
async def test_a_replica_killed_at_this_step_signs_nobody_out(
    scene: Scene, where: str, word: bytes, side: Side, skip: int
) -> None:
    fleet, victim = scene.fleet, scene.fleet.replicas[0]
    cookie = await scene.due_session()
    died = asyncio.Event()

    async def kill() -> bool:
        victim.process.kill()
        died.set()
        return False

    set_wire(scene, where, word, side, skip, kill)
    with pytest.raises(httpx.TransportError):
        await fleet.call(cookie, 0)
    assert died.is_set()
    await served_again(fleet, cookie, 1)
    await victim.restart()
    await served_again(fleet, cookie, 0)
    assert (await fleet.okta.state())["reuse_alarms"] == 0


@pytest.mark.parametrize(
    ("where", "word", "side", "skip"), [step[1:] for step in STEPS], ids=[f"RF-022 {step[0]}" for step in STEPS]
)
async def test_a_replica_stopped_past_its_lease_at_this_step_does_no_harm_when_it_goes_on(
    scene: Scene, where: str, word: bytes, side: Side, skip: int
) -> None:
    fleet, victim = scene.fleet, scene.fleet.replicas[0]
    cookie = await scene.due_session()
    stopped = asyncio.Event()

    async def stop() -> bool:
        victim.process.signal(signal.SIGSTOP)
        stopped.set()
        return True

    set_wire(scene, where, word, side, skip, stop)
    caller = asyncio.create_task(fleet.call(cookie, 0))
    async with asyncio.timeout(60):
        await stopped.wait()
    try:
        await asyncio.sleep(LEASE + 0.1)  # its lease is over; whoever asks another replica takes over
        await served_again(fleet, cookie, 1)
        before = await fleet.okta.state()
    finally:
        victim.process.signal(signal.SIGCONT)
    assert (await caller).status_code in (200, 503)
    await served_again(fleet, cookie, 0)
    await served_again(fleet, cookie, 1)
    after = await fleet.okta.state()
    assert after["reuse_alarms"] == 0
    assert after["refresh_requests"] == before["refresh_requests"], "a stale holder sent a token after its pause"


@pytest.mark.parametrize(
    ("kills", "pause"),
    [pytest.param(6, 0.3, id="RF-016 6"), pytest.param(150, 0.1, marks=pytest.mark.long, id="RF-016 150")],
)
async def test_random_kills_under_load_sign_nobody_out(tmp_path: Path, kills: int, pause: float) -> None:
    """`pause`: seconds at most between two calls of each of twenty people."""
    chance = random.Random(20260101 + kills)
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, lifetime=2, **TIMINGS) as fleet:
            cookies = await fleet.signed_in(20)
            statuses: dict[int, int] = {}
            down: set[int] = set()
            over = asyncio.Event()

            async def caller(cookie: str) -> None:
                while not over.is_set():
                    replica = chance.choice([number for number in range(3) if number not in down])
                    try:
                        status = (await fleet.call(cookie, replica)).status_code
                    except httpx.TransportError:
                        status = 0  # the replica died under this call
                    statuses[status] = statuses.get(status, 0) + 1
                    await asyncio.sleep(chance.uniform(0.01, pause))

            callers = [asyncio.create_task(caller(cookie)) for cookie in cookies]
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.1, 0.8))
                victim = chance.randrange(3)
                down.add(victim)
                fleet.replicas[victim].process.kill()
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                await fleet.replicas[victim].restart()
                down.discard(victim)
            over.set()
            await asyncio.gather(*callers)
            for cookie in cookies:
                await served_again(fleet, cookie, chance.randrange(3))
            state = await fleet.okta.state()
            print(f"SIGKILLs {kills}, calls {statuses}, refreshes {state['refresh_requests']}")
            assert set(statuses) <= {0, 200, 503}, statuses
            assert statuses[200] > 100
            assert state["reuse_alarms"] == 0
