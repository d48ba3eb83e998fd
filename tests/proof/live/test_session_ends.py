"""Two replicas on Redis: however a session ends, the next call on either is refused with the right reason, and the
provider's refresh token is gone."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.proof.live.fleet import ON_TWO_REPLICAS, ROOT, Fleet

pytestmark = ON_TWO_REPLICAS

PERSON = "bob@example.com"  # of whom no other test of the shared fleet has sessions
COOKIE = "bff-session"


async def signed_in(fleet: Fleet, login: str = PERSON) -> Browser:
    browser = Browser(fleet.replicas[0].url)
    await browser.sign_in(login)
    assert browser.cookie(COOKIE) is not None, browser.seen[-1].text
    return browser


def cookies(browser: Browser) -> str:
    return f"{COOKIE}={browser.cookie(COOKIE)}"


async def everywhere(fleet: Fleet, cookie: str) -> list[tuple[int, str | None]]:
    answers = [await fleet.call(cookie, replica) for replica in range(len(fleet.replicas))]
    return [(answer.status_code, answer.json().get("reason")) for answer in answers]


async def sub_of(fleet: Fleet, login: str = PERSON) -> str:
    people = (await fleet.okta.state())["people"]
    return next(str(person["sub"]) for person in people if person["login"] == login)


# --- the ways a session ends: each returns when the end has been answered --------------------------------------------


async def by_signing_out(fleet: Fleet, cookie: str) -> None:
    assert (await fleet.sign_out(cookie, replica=1)).status_code == 200


async def by_logout_token_of_a_session(fleet: Fleet, cookie: str) -> None:
    url = f"{fleet.replicas[1].url}/auth/backchannel-logout"
    for sid in await fleet.okta.sids_of(PERSON):
        assert await fleet.okta.order("logout-token", url=url, sid=sid) == 200


async def by_logout_token_of_a_person(fleet: Fleet, cookie: str) -> None:
    url = f"{fleet.replicas[1].url}/auth/backchannel-logout"
    assert await fleet.okta.order("logout-token", url=url, sub=await sub_of(fleet)) == 200


async def by_universal_logout(fleet: Fleet, cookie: str) -> None:
    registered = f"{fleet.replicas[0].url}/auth/global-token-revocation"
    url = f"{fleet.replicas[1].url}/auth/global-token-revocation"
    assert await fleet.okta.order("global-token-revocation", url=url, endpoint=registered, email=PERSON) == 204


async def by_front_channel(fleet: Fleet, cookie: str) -> None:
    issuer = f"http://127.0.0.1:{fleet.to_okta.port}/oauth2/default"
    async with plain_http() as frame:
        for sid in await fleet.okta.sids_of(PERSON):
            url = f"{fleet.replicas[1].url}/auth/frontchannel-logout"
            assert (await frame.get(url, params={"iss": issuer, "sid": sid})).status_code == 200


async def by_operator(fleet: Fleet, cookie: str) -> None:
    environ = {**os.environ, **fleet.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "bff", *("sessions", "end", "--email", PERSON, "--reason", "a test")]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environ, cwd=fleet.replicas[0].process.log.parent, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "1 session ended\n1 token revoked at the provider\n"), done.stderr


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
async def test_an_ended_session_is_refused_by_both_replicas_and_revoked_at_okta(
    two_replicas: Fleet, reason: str, end: Callable[[Fleet, str], Awaitable[None]]
) -> None:
    fleet = two_replicas
    earlier = await fleet.families()  # of other tests
    browser = await signed_in(fleet)
    cookie = cookies(browser)
    assert await everywhere(fleet, cookie) == [(200, None), (200, None)]
    counted = await fleet.metric("bff_session_ended_total", reason=reason)
    await end(fleet, cookie)
    assert await everywhere(fleet, cookie) == [(401, reason), (401, reason)]
    await fleet.nothing_lives_at_okta(besides=earlier)
    sessions = [(await fleet.call(cookie, replica, "/auth/session")).json() for replica in (1, 0)]
    assert sessions == [{"authenticated": False, "reason": reason}] * 2
    if end is not by_operator:  # whose command counts for itself
        assert await fleet.metric("bff_session_ended_total", reason=reason) >= counted + 1
    await browser.close()


async def test_a_new_sign_in_replaces_the_session_of_its_browser(two_replicas: Fleet) -> None:
    fleet = two_replicas
    browser = await signed_in(fleet)
    first = cookies(browser)
    # The replaced session's tokens are not revoked here, but at Okta's own hosts alone (docs/decisions, 27).
    earlier = await fleet.families()
    await browser.sign_in()
    assert await everywhere(fleet, first) == [(401, "replaced"), (401, "replaced")]
    assert await everywhere(fleet, cookies(browser)) == [(200, None), (200, None)]
    await browser.sign_out()
    await fleet.nothing_lives_at_okta(besides=earlier)
    await browser.close()
