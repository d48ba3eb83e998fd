"""Two replicas on Redis: however a session ends, the next call on either is refused with the right reason, and the
provider's refresh token is gone."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import RedisServer, one_server
from tests.proof.live.fleet import ROOT, Fleet, running_fleet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("ends")]

ALICE = "alice@example.com"
COOKIE = "bff-session"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    directory = tmp_path_factory.mktemp("ends")
    with one_server(directory / "redis") as redis:
        async with running_fleet(directory, redis.url, replicas=2, lifetime=3600) as fleet:
            yield fleet


async def signed_in(fleet: Fleet, login: str = ALICE) -> Browser:
    browser = Browser(fleet.replicas[0].url)
    await browser.sign_in(login)
    assert browser.cookie(COOKIE) is not None, browser.seen[-1].text
    return browser


def cookies(browser: Browser) -> str:
    return f"{COOKIE}={browser.cookie(COOKIE)}"


async def everywhere(fleet: Fleet, cookie: str) -> list[tuple[int, str | None]]:
    answers = [await fleet.call(cookie, replica) for replica in range(len(fleet.replicas))]
    return [(answer.status_code, answer.json().get("reason")) for answer in answers]


async def nothing_lives_at_okta(fleet: Fleet) -> None:
    async with asyncio.timeout(60):
        while any(family["revoked"] is None for family in (await fleet.okta.state())["families"]):
            await asyncio.sleep(0.02)


async def sub_of(fleet: Fleet, login: str = ALICE) -> str:
    people = (await fleet.okta.state())["people"]
    return next(str(person["sub"]) for person in people if person["login"] == login)


# --- the ways a session ends: each returns when the end has been answered --------------------------------------------


async def by_signing_out(fleet: Fleet, cookie: str) -> None:
    assert (await fleet.sign_out(cookie, replica=1)).status_code == 200


async def by_logout_token_of_a_session(fleet: Fleet, cookie: str) -> None:
    url = f"{fleet.replicas[1].url}/auth/backchannel-logout"
    for sid in await fleet.okta.sids_of(ALICE):
        assert await fleet.okta.order("logout-token", url=url, sid=sid) == 200


async def by_logout_token_of_a_person(fleet: Fleet, cookie: str) -> None:
    url = f"{fleet.replicas[1].url}/auth/backchannel-logout"
    assert await fleet.okta.order("logout-token", url=url, sub=await sub_of(fleet)) == 200


async def by_universal_logout(fleet: Fleet, cookie: str) -> None:
    registered = f"{fleet.replicas[0].url}/auth/global-token-revocation"
    url = f"{fleet.replicas[1].url}/auth/global-token-revocation"
    assert await fleet.okta.order("global-token-revocation", url=url, endpoint=registered, email=ALICE) == 204


async def by_front_channel(fleet: Fleet, cookie: str) -> None:
    issuer = f"http://127.0.0.1:{fleet.to_okta.port}/oauth2/default"
    async with plain_http() as frame:
        for sid in await fleet.okta.sids_of(ALICE):
            url = f"{fleet.replicas[1].url}/auth/frontchannel-logout"
            assert (await frame.get(url, params={"iss": issuer, "sid": sid})).status_code == 200


async def by_operator(fleet: Fleet, cookie: str) -> None:
    environ = {**os.environ, **fleet.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bff", "sessions", "end", "--email", ALICE, "--reason", "a test"]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environ, cwd=fleet.replicas[0].process.log.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "1 session ended\n"), done.stderr


async def by_another_browser(fleet: Fleet, cookie: str) -> None:
    other = await signed_in(fleet)
    answer = await other.fetch("/auth/sessions/end", "POST", json={"others": True})
    assert answer.json() == {"ended": 1}
    await other.sign_out()
    await other.close()


WAYS: list[tuple[str, Callable[[Fleet, str], Awaitable[None]]]] = [
    ("signed_out", by_signing_out),
    ("back_channel", by_logout_token_of_a_session),
    ("back_channel", by_logout_token_of_a_person),
    ("universal_logout", by_universal_logout),
    ("front_channel", by_front_channel),
    ("operator", by_operator),
    ("signed_out_elsewhere", by_another_browser),
]


@pytest.mark.parametrize(("reason", "end"), WAYS, ids=[f"{way[0]}-{way[1].__name__}" for way in WAYS])
async def test_both_replicas_know_at_once_and_okta_soon(
    fleet: Fleet, reason: str, end: Callable[[Fleet, str], Awaitable[None]]
) -> None:
    browser = await signed_in(fleet)
    cookie = cookies(browser)
    assert await everywhere(fleet, cookie) == [(200, None), (200, None)]
    counted = await fleet.metric("bff_session_ended_total", reason=reason)
    await end(fleet, cookie)
    assert await everywhere(fleet, cookie) == [(401, reason), (401, reason)]
    await nothing_lives_at_okta(fleet)
    told = [(await fleet.call(cookie, replica, "/auth/session")).json() for replica in (1, 0)]
    assert told == [{"authenticated": False, "reason": reason}, {"authenticated": False, "reason": None}]
    if end is not by_operator:  # whose command counts for itself
        assert await fleet.metric("bff_session_ended_total", reason=reason) >= counted + 1
    await browser.close()


async def test_a_new_sign_in_replaces_the_session_of_its_browser(fleet: Fleet) -> None:
    browser = await signed_in(fleet)
    first = cookies(browser)
    await browser.sign_in()
    assert await everywhere(fleet, first) == [(401, "replaced"), (401, "replaced")]
    assert await everywhere(fleet, cookies(browser)) == [(200, None), (200, None)]
    await browser.sign_out()
    await nothing_lives_at_okta(fleet)
    await browser.close()


async def test_a_token_that_okta_revoked_ends_the_session_when_it_is_needed(fleet: Fleet) -> None:
    await fleet.okta.post("/settings", access_token_lifetime=2)
    browser = await signed_in(fleet)
    await fleet.okta.post("/settings", access_token_lifetime=3600)
    await fleet.okta.post(f"/users/{ALICE}/revoke")
    await asyncio.sleep(2.1)
    assert await everywhere(fleet, cookies(browser)) == [(401, "refresh_token_invalid")] * 2
    await browser.close()


@pytest.mark.parametrize(
    ("reason", "limits"),
    [
        ("idle_timeout", {"idle_timeout": "2", "absolute_timeout": "60"}),
        ("absolute_timeout", {"idle_timeout": "2", "absolute_timeout": "2"}),
    ],
)
async def test_limits_hold_on_both(
    tmp_path: Path, redis_server: RedisServer, reason: str, limits: dict[str, str]
) -> None:
    async with running_fleet(tmp_path, redis_server.url, replicas=2, lifetime=3600, **limits) as fleet:
        (cookie,) = await fleet.signed_in()
        await asyncio.sleep(2.1)
        assert await everywhere(fleet, cookie) == [(401, reason), (401, reason)]
        await nothing_lives_at_okta(fleet)
