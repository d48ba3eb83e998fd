"""BFF_STORE_OUTAGE_GRACE with a real Redis: who is answered while it gives no reply, and who is not."""

from pathlib import Path

import pytest

from tests.harness.redis_servers import RedisServer, one_server
from tests.harness.waiting import until
from tests.proof.live.fleet import Fleet, running_fleet

GRACE = "30"


def takes_away(redis: RedisServer, how: str) -> None:
    redis.stop() if how == "killed" else redis.freeze()


def brings_back(redis: RedisServer, how: str) -> None:
    redis.start() if how == "killed" else redis.thaw()


async def answered_while_away(fleet: Fleet, redis: RedisServer, how: str, *requests: tuple[str, str]) -> None:
    """Takes the store away after a read, and returns when each request (cookie, path) was answered without it.

    It is repeated, because a machine that stands still may outlast the grace period.
    """

    async def once() -> bool:
        takes_away(redis, how)
        statuses = [(await fleet.call(cookie, path=path)).status_code for cookie, path in requests]
        if statuses == [200] * len(requests):
            return True
        assert set(statuses) <= {200, 503}
        brings_back(redis, how)
        for cookie, _ in requests:
            await fleet.served(cookie)
        return False

    for cookie, _ in requests:
        await fleet.served(cookie)
    await until(once)


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_what_was_read_a_moment_ago_is_answered_without_the_store(tmp_path: Path, how: str) -> None:
    config = tmp_path / "redis.conf"
    # Written to the disk before it is acknowledged: a kill loses nothing.
    config.write_text(f'dir {tmp_path}\nsave ""\nappendonly yes\nappendfsync always\n')
    with one_server(tmp_path / "redis", config=config) as redis:
        settings = {"store_outage_grace": GRACE}
        async with running_fleet(tmp_path, redis.url, replicas=1, lifetime=3600, patient=False, **settings) as fleet:
            alice, second = await fleet.signed_in(2)
            (bob,) = await fleet.signed_in(login="bob@example.com")
            await answered_while_away(fleet, redis, how, (alice, "/api/x"), (alice, "/auth/verify"), (second, "/api/x"))
            assert await fleet.metric("bff_store_outage_answers_total") >= 3
            assert (await fleet.call(bob, path="/auth/session")).json()["code"] == "store_unavailable"
            # A sign-out that cannot be recorded is refused, and what it was about is not answered any more.
            assert (await fleet.sign_out(alice)).status_code == 503
            assert (await fleet.call(alice)).json()["code"] == "store_unavailable"
            brings_back(redis, how)
            for cookie in (alice, second, bob):
                await fleet.served(cookie)
            assert "the session store is unreachable" in fleet.logs()


async def test_a_store_that_replies_with_an_error_is_not_replaced(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        settings = {"store_outage_grace": GRACE}
        async with running_fleet(tmp_path, redis.url, replicas=1, lifetime=3600, patient=False, **settings) as fleet:
            (cookie,) = await fleet.signed_in()
            await fleet.served(cookie)
            redis.ask("ACL", "SETUSER", "default", "-evalsha", "-eval")
            answer = await fleet.call(cookie)
            assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
            redis.ask("ACL", "SETUSER", "default", "+@all")
            await fleet.served(cookie)
            assert await fleet.metric("bff_store_outage_answers_total") == 0


async def test_a_sign_out_that_the_store_recorded_counts_from_the_next_request(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        settings = {"store_outage_grace": GRACE}
        async with running_fleet(tmp_path, redis.url, replicas=2, lifetime=3600, patient=False, **settings) as fleet:
            (cookie,) = await fleet.signed_in()
            for replica in (0, 1):
                await fleet.served(cookie, replica)

            async def signed_out() -> bool:
                return (await fleet.sign_out(cookie, 0)).status_code == 200

            await until(signed_out)
            for replica in (0, 1):
                assert (await fleet.call(cookie, replica)).status_code in (401, 503)
            redis.freeze()
            for replica in (0, 1):
                answer = await fleet.call(cookie, replica)
                assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
