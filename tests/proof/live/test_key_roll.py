"""The key ring is rolled over two replicas under load, one at a time, by changing a file: no call fails."""

import asyncio
import random
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from tests.harness.http_browser import Browser
from tests.harness.redis_servers import RedisServer
from tests.harness.waiting import until
from tests.harness.world import CLIENT_SECRET
from tests.proof.live.fleet import Fleet, Replica, running_fleet


class KeyFiles:
    """Each replica reads a file of its own, as a rolling change of a mounted secret has it."""

    def __init__(self, directory: Path, count: int) -> None:
        self.paths = [directory / f"keys-{number}" for number in range(count)]

    def write(self, number: int, *keys: bytes) -> None:
        path = self.paths[number]
        new = path.with_suffix(".new")
        new.write_text(" ".join(encode_base64url(key) for key in keys))
        new.replace(path)


async def logged(replica: Replica, event: str, times: int) -> None:
    """Waits until the replica has logged that so often."""
    await until(lambda: replica.process.log.read_text().count(event) >= times)


@pytest.mark.case("OP-018", "RF-065")
@pytest.mark.parametrize("how", ["file", pytest.param("SIGHUP", marks=pytest.mark.long)])
async def test_a_rolling_change_of_keys_under_load(tmp_path: Path, redis_server: RedisServer, how: str) -> None:
    old, new = new_key(), new_key()
    files = KeyFiles(tmp_path, 2)
    for number in range(2):
        files.write(number, old)
    own = {
        number: {"BFF_SESSION_KEYS": "", "BFF_SESSION_KEYS_FILE": str(path)} for number, path in enumerate(files.paths)
    }
    async with running_fleet(tmp_path, redis_server.url, replicas=2, lifetime=3, own=own) as fleet:
        # Several people: the provider's limit of four calls a second for each would be what is tested otherwise.
        logins = ["alice@example.com", "bob@example.com", "zoë@example.com"]
        browsers = [await signed_in(fleet, logins[number % 3]) for number in range(6)]
        statuses: Counter[int] = Counter()
        looked = [0] * len(browsers)  # how often at the session, which seals the cookie anew
        over = asyncio.Event()
        chance = random.Random(7)

        async def person(number: int, browser: Browser) -> None:
            """Calls the API on either replica, and looks at the session now and then: that seals the cookie anew."""
            while not over.is_set():
                path = chance.choice(["/api/x"] * 2 + ["/auth/session"])
                answer = await call(fleet, browser, path, chance.randrange(2))
                status = answer.status_code
                if path == "/auth/session" and not answer.json()["authenticated"]:
                    status = 401
                # Okta limits the refreshes of one user, and each session has one every three seconds.
                if status != 503 or answer.json()["code"] != "provider_unavailable":
                    statuses[status] += 1
                    looked[number] += path == "/auth/session"
                await asyncio.sleep(chance.uniform(0.02, 0.2))

        async def everybody_looked(times: int) -> None:
            before = list(looked)
            await until(lambda: all(now >= then + times for then, now in zip(before, looked, strict=True)))

        async def arrivals() -> None:
            """People go on signing in, on one replica, calling on the other, and signing out."""
            while not over.is_set():
                browser = await signed_in(fleet)
                assert (await call(fleet, browser, "/api/x", 1)).status_code == 200
                # Else all who ever arrived are renewed on and on, and use up what the provider allows one person.
                await browser.sign_out()
                await browser.close()
                await asyncio.sleep(0.5)

        async def step(number: int, *keys: bytes) -> None:
            before = fleet.replicas[number].process.log.read_text().count("the settings were reloaded")
            files.write(number, *keys)
            if how == "SIGHUP":
                fleet.replicas[number].process.signal(signal.SIGHUP)
            await logged(fleet.replicas[number], "the settings were reloaded", before + 1)

        async with asyncio.TaskGroup() as load:
            for number, browser in enumerate(browsers):
                load.create_task(person(number, browser))
            load.create_task(arrivals())
            await everybody_looked(1)
            for keys in ([old, new], [new, old]):
                for number in range(2):
                    await step(number, *keys)
                    await everybody_looked(1)
            # A key that is wrong changes nothing.
            files.paths[0].write_text("changeme")
            fleet.replicas[0].process.signal(signal.SIGHUP)
            await logged(fleet.replicas[0], "the settings were not reloaded", 1)
            await everybody_looked(2)  # so that every cookie is sealed with the new key
            for number in range(2):
                await step(number, new)
            await everybody_looked(1)
            over.set()
        assert set(statuses) == {200}, statuses
        assert (await fleet.okta.state())["reuse_alarms"] == 0
        assert await fleet.metric("bff_session_ended_total", reason="key_removed") == 0
        assert encode_base64url(old) not in fleet.logs()
        for browser in browsers:
            await browser.close()


async def signed_in(fleet: Fleet, login: str = "alice@example.com") -> Browser:
    browser = Browser(fleet.replicas[0].url)
    await browser.sign_in(login)
    assert browser.cookie("bff-session") is not None, browser.seen[-1].text
    return browser


async def call(fleet: Fleet, browser: Browser, path: str, replica: int) -> httpx.Response:
    """To a browser a port is no other site: the cookie goes to both, and is taken from both."""
    return await browser.fetch(f"{fleet.replicas[replica].url}{path}")


@pytest.mark.case("OP-016")
async def test_the_client_secret_is_changed_without_a_failed_sign_in_or_refresh(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    second = "the-second-journey-secret-0123456789abcdef"
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    own = {0: {"BFF_CLIENT_SECRET": "", "BFF_CLIENT_SECRET_FILE": str(secret)}}
    async with running_fleet(tmp_path, redis_server.url, replicas=1, lifetime=3, own=own) as fleet:
        browsers = [await signed_in(fleet) for _ in range(4)]
        statuses: set[int] = set()
        over = asyncio.Event()

        async def person(browser: Browser) -> None:
            while not over.is_set():
                statuses.add((await call(fleet, browser, "/api/x", 0)).status_code)
                await asyncio.sleep(0.2)

        async def everybody_was_renewed(times: int) -> None:
            wanted = (await fleet.okta.state())["refresh_requests"] + times * len(browsers)

            async def so_many() -> bool:
                return bool((await fleet.okta.state())["refresh_requests"] >= wanted)

            await until(so_many)

        async with asyncio.TaskGroup() as load:
            for browser in browsers:
                load.create_task(person(browser))
            await fleet.okta.post("/settings", secrets=[CLIENT_SECRET, second])  # two are live at the provider
            secret.write_text(second)
            await logged(fleet.replicas[0], "the settings were reloaded", 1)
            await everybody_was_renewed(2)  # so that what was sent with the old secret has been answered
            await fleet.okta.post("/settings", secrets=[second])  # and then the old one is taken away
            await everybody_was_renewed(1)
            await (await signed_in(fleet)).close()
            over.set()
        assert statuses == {200}
        assert (await fleet.okta.state())["reuse_alarms"] == 0
        assert await fleet.metric("bff_refresh_total", outcome="denied") == 0
        for browser in browsers:
            await browser.close()
