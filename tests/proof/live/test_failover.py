"""The store fails over to a replica that missed the last write; the store goes away and comes back."""

from pathlib import Path

from tests.harness.redis_servers import one_server, until
from tests.proof.live.fleet import running_fleet
from tests.proof.live.tripwire import Tripwire

# Seconds between a reservation and its request, so that a busy machine puts off no refresh.
TIMINGS = {"refresh_timeout": "4", "refresh_lease": "8"}


async def test_a_renewed_token_that_a_failover_lost_is_written_again(tmp_path: Path) -> None:
    with one_server(tmp_path / "a") as master, one_server(tmp_path / "b") as behind:
        to_redis = Tripwire(master.port)
        await to_redis.start()
        through = f"redis://127.0.0.1:{to_redis.port}"
        try:
            async with running_fleet(tmp_path, through, replicas=2, **TIMINGS) as fleet:
                cookies = await fleet.expired_sessions(6)
                behind.ask("REPLICAOF", "127.0.0.1", master.port)
                until(lambda: len(master.ask("ROLE")[2]) == 1)
                until(lambda: int(master.ask("DBSIZE")) == int(behind.ask("DBSIZE")))
                # From here on the replica misses everything: the link is cut before the tokens are renewed.
                behind.ask("REPLICAOF", "NO", "ONE")
                for cookie in cookies:
                    assert (await fleet.call(cookie, 0)).status_code == 200
                assert (await fleet.okta.state())["refresh_requests"] == len(cookies)

                master.stop()
                to_redis.redirect(behind.port)
                # Half of them come back to the replica that renewed them, half to the other one.
                for number, cookie in enumerate(cookies):
                    await fleet.served(cookie, number % 2)
                for number, cookie in enumerate(cookies):
                    await fleet.served(cookie, (number + 1) % 2)
                assert (await fleet.okta.state())["reuse_alarms"] == 0
                assert await fleet.replicas[0].metric("bff_refresh_reasserted_total") >= 3
        finally:
            await to_redis.close()
