"""What only several replicas show: clocks that differ, a replica told to stop in the middle, many who wait at once."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from bff.app import build_app
from bff.config.settings import load_settings
from bff.flows.background import BackgroundTasks
from bff.flows.refresh.record_watcher import RecordWatcher
from bff.session.keyring import KeyRing, new_key
from bff.session.session import SessionKey
from bff.session.store import StoredSession
from bff.storage.sqlite.store import SqliteStore
from tests.harness.example_session import a_session
from tests.harness.http_browser import FETCH
from tests.harness.redis_servers import RedisServer
from tests.harness.waiting import until
from tests.harness.world import Clock, listening, serving, small_world
from tests.proof.live.fleet import Fleet


@pytest.mark.case("RF-029")
async def test_replicas_whose_clocks_are_four_minutes_apart_agree_on_what_is_due(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    async with small_world(tmp_path, store=redis_server.url) as world:
        world.okta.control.settings(access_token_lifetime=2)
        browser = world.browser()
        world.clock.ahead = 120  # this replica's clock; the other one's is two minutes behind
        await browser.sign_in()
        expired_at = time.time() + 2
        world.okta.control.settings(access_token_lifetime=3600)
        with listening() as bound:
            behind = build_app(load_settings(world.environ), clock=Clock(-120))
            async with serving(behind, bound, lifespan="on"):
                await until(lambda: time.time() > expired_at)
                other = f"http://localhost:{bound.getsockname()[1]}/api/x"
                headers = {**FETCH, "x-csrf": "1", "cookie": f"bff-session={browser.cookie('bff-session')}"}
                for _ in range(10):
                    assert (await browser.fetch("/api/x")).status_code == 200
                    assert (await browser.http.get(other, headers=headers)).status_code == 200
        assert world.okta.control.refresh_requests == 1
        assert len(set(world.upstream.tokens)) == 1


@pytest.mark.case("RF-041")
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.xdist_group("two_replicas")
async def test_a_replica_that_is_terminated_finishes_the_refresh_it_holds(two_replicas: Fleet) -> None:
    fleet = two_replicas
    (cookie,) = await fleet.expired_sessions()
    await fleet.okta.post("/faults", kind="slow_answer", grant="refresh_token", delay=1.0)
    before = await fleet.okta.state()
    caller = asyncio.create_task(fleet.call(cookie, 0))

    async def is_asked() -> bool:
        return bool((await fleet.okta.state())["refresh_requests"] > before["refresh_requests"])

    await until(is_asked)
    fleet.replicas[0].process.signal(signal.SIGTERM)
    assert (await caller).status_code == 200
    assert (await fleet.call(cookie, 1)).status_code == 200
    after = await fleet.okta.state()
    assert after["refresh_requests"] == before["refresh_requests"] + 1
    assert after["reuse_alarms"] == before["reuse_alarms"]
    await fleet.replicas[0].restart()


@pytest.mark.case("RF-064")
async def test_five_hundred_who_wait_for_another_replica_read_the_store_ten_times_a_second(tmp_path: Path) -> None:
    class Counted(SqliteStore):
        reads = 0

        async def get(self, key: SessionKey) -> StoredSession:
            type(self).reads += 1
            return await super().get(key)

    store = Counted(tmp_path / "bff.db", KeyRing.from_keys([new_key()]))
    tasks = BackgroundTasks()
    try:
        session = a_session()
        await store.create(session)
        watch = RecordWatcher(store, tasks, time.monotonic)
        await asyncio.gather(*(watch.wait_for_change(session.key, session.version, within=1.0) for _ in range(500)))
        assert 1 <= Counted.reads <= 12
    finally:
        await tasks.drain(2)
        await store.close()
