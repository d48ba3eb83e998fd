"""SIGKILL and SIGSTOP at every step of a refresh: nobody is signed out, and the provider never sees a reuse."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from httpx import Response, TransportError

from bff.storage.redis.scripts import REPLACE
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.proof.live.fleet import Fleet, running_fleet
from tests.proof.live.tripwire import Side, Tripwire

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("killed")]

TIMINGS = {"refresh_timeout": "1", "refresh_lease": "3"}  # seconds; two from a reservation to its request at most
TOKEN_REQUEST = b"grant_type=refresh_token"  # the body, which leaves last: before it nothing was asked
STORED = REPLACE.sha.encode()


@dataclass(frozen=True)
class Step:
    """A moment of a refresh: a request or an answer on its way, to or from the store or the provider."""

    where: Literal["redis", "okta"]
    word: bytes
    side: Side
    skip: int = 0


STEPS = {
    "RF-062 before the reservation is stored": Step("redis", STORED, "request"),
    "RF-062 reservation stored, reply not read": Step("redis", STORED, "answer"),
    "RF-015 token request on its way": Step("okta", TOKEN_REQUEST, "request"),
    "RF-015 rotated, answer not read": Step("okta", TOKEN_REQUEST, "answer"),
    "RF-016 answer read, result not stored": Step("redis", STORED, "request", 1),
    "RF-017 result stored, reply not read": Step("redis", STORED, "answer", 1),
}


@dataclass
class Scene:
    fleet: Fleet
    to_redis: Tripwire  # of replica 0, the victim
    _due: list[str] = field(default_factory=list)

    async def due_session(self) -> str:
        """Someone signed in whose access token has expired."""
        if not self._due:
            self._due = await self.fleet.expired_sessions(len(STEPS) + 1)
        return self._due.pop()

    async def reach(self, step: Step, act: Callable[[], None], forwards: bool) -> tuple[str, asyncio.Task[Response]]:
        """Has a session renewed by the victim and acts at this step; the session's cookie and its unanswered call."""
        wire = self.to_redis if step.where == "redis" else self.fleet.to_okta
        while True:
            cookie, reached = await self.due_session(), asyncio.Event()

            async def at_the_step(reached: asyncio.Event = reached) -> bool:
                act()
                reached.set()
                return forwards

            wire.once(step.word, step.side, at_the_step, skip=step.skip)
            call = asyncio.create_task(self.fleet.call(cookie, 0))
            arrival = asyncio.create_task(reached.wait())
            await asyncio.wait([call, arrival], return_when=asyncio.FIRST_COMPLETED)
            arrival.cancel()
            if reached.is_set():
                return cookie, call
            wire.clear()
            assert (await call).status_code in (200, 503)


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
                await fleet.served(await scene.due_session(), 0)
                yield scene
        finally:
            await to_redis.close()


@pytest.mark.parametrize("step", STEPS)
async def test_a_replica_killed_at_a_step_of_a_refresh_ends_no_session(scene: Scene, step: str) -> None:
    fleet, victim = scene.fleet, scene.fleet.replicas[0]
    cookie, call = await scene.reach(STEPS[step], victim.process.kill, forwards=False)
    with pytest.raises(TransportError):
        await call
    await fleet.served(cookie, 1)
    await victim.restart()
    await fleet.served(cookie, 0)
    assert (await fleet.okta.state())["reuse_alarms"] == 0


@pytest.mark.parametrize("step", STEPS, ids=[f"RF-022 {step}" for step in STEPS])
async def test_a_replica_stopped_past_its_lease_sends_no_token_when_it_continues(scene: Scene, step: str) -> None:
    fleet, victim = scene.fleet, scene.fleet.replicas[0]
    cookie, call = await scene.reach(STEPS[step], victim.process.stop, forwards=True)
    try:
        await fleet.served(cookie, 1)  # once the lease is over, if there is one
        before = await fleet.okta.state()
    finally:
        victim.process.resume()
    assert (await call).status_code in (200, 503)
    for replica in (0, 1):
        await fleet.served(cookie, replica)
    after = await fleet.okta.state()
    assert after["reuse_alarms"] == 0
    assert after["refresh_requests"] == before["refresh_requests"], "a stale holder sent a token after its pause"


@pytest.mark.long
async def test_random_kills_under_load_end_no_session(tmp_path: Path) -> None:
    kills, chance = 150, random.Random(20260101)
    with one_server(tmp_path / "redis") as redis:
        async with running_fleet(tmp_path, redis.url, lifetime=2, **TIMINGS) as fleet:
            cookies = await fleet.signed_in(8)
            statuses: Counter[int] = Counter()
            down: set[int] = set()
            over = asyncio.Event()

            async def caller(cookie: str) -> None:
                while not over.is_set():
                    replica = chance.choice([number for number in range(3) if number not in down])
                    try:
                        statuses[(await fleet.call(cookie, replica)).status_code] += 1
                    except TransportError:
                        statuses[0] += 1  # the replica died under this call
                    await asyncio.sleep(chance.uniform(0.01, 0.2))

            callers = [asyncio.create_task(caller(cookie)) for cookie in cookies]
            for _ in range(kills):
                served = statuses[200] + chance.randrange(50)
                await until(lambda served=served: statuses[200] > served)
                victim = chance.randrange(3)
                down.add(victim)
                fleet.replicas[victim].process.kill()
                await fleet.replicas[victim].restart()
                down.discard(victim)
            over.set()
            await asyncio.gather(*callers)
            for cookie in cookies:
                await fleet.served(cookie, chance.randrange(3))
            state = await fleet.okta.state()
            print(f"SIGKILLs {kills}, calls {statuses}, refreshes {state['refresh_requests']}")
            assert set(statuses) <= {0, 200, 503}, statuses
            assert state["reuse_alarms"] == 0
