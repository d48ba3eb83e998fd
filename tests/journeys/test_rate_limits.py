"""Floods of sign-ins from one address, from many, and under a false name; and those who sign in and out meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
import pytest

from bff.telemetry.metrics import REGISTRY
from tests.harness.http_browser import FETCH, NAVIGATION
from tests.harness.plain_http import plain_http
from tests.harness.world import World, small_world

LOGIN, CALLBACK, LOGOUT = "/auth/login", "/authorization-code/callback?code=x&state=y", "/auth/logout"
PROVIDER = ("/auth/backchannel-logout", "/auth/frontchannel-logout", "/auth/global-token-revocation")
HONEST = "198.51.100.7"
OWN_POST = {**FETCH, "x-csrf": "1"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Behind a proxy that the operator named: this machine."""
    rates = {"sign_in_rate_per_client": "5", "sign_in_rate": "40"}
    async with small_world(tmp_path, trusted_proxies="127.0.0.1", **rates) as world:
        yield world


class _NoCookies(DefaultCookiePolicy):
    def set_ok(self, cookie: Any, request: Any) -> bool:
        return False


@asynccontextmanager
async def proxy(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with plain_http(base_url=world.public_url, timeout=30) as client:
        client.cookies.jar.set_policy(_NoCookies())
        yield client


async def ask(client: httpx.AsyncClient, path: str, forwarded_for: str, method: str = "GET") -> httpx.Response:
    headers = OWN_POST if method == "POST" else NAVIGATION
    return await client.request(method, path, headers={**headers, "x-forwarded-for": forwarded_for})


async def flood(client: httpx.AsyncClient, path: str, addresses: list[str], method: str = "GET") -> list[int]:
    answers = await asyncio.gather(*(ask(client, path, address, method) for address in addresses))
    return [answer.status_code for answer in answers]


def refused(door: str, rate: str) -> float:
    return REGISTRY.get_sample_value("bff_rate_limited_total", {"endpoint": door, "rate": rate}) or 0.0


@pytest.mark.case("DS-002")
async def test_a_flood_from_one_address_is_refused_and_its_neighbour_signs_in(world: World) -> None:
    before = refused("sign_in", "client")
    asked = len(world.okta.control.events())
    async with proxy(world) as client:
        statuses = await flood(client, LOGIN, ["203.0.113.9"] * 30)
        assert sorted(set(statuses)) == [303, 429]
        assert 5 <= statuses.count(303) <= 8, "a minute's worth, and what a slow machine takes longer for"
        assert refused("sign_in", "client") == before + statuses.count(429)
        assert len(world.okta.control.events()) == asked, "the provider hears of a sign-in from the browser, never us"
        browser = world.browser()
        browser.http.headers["x-forwarded-for"] = HONEST
        await browser.sign_in()
        assert (await browser.session())["authenticated"]


@pytest.mark.case("DS-002")
async def test_a_false_address_in_front_of_the_true_one_makes_nobody_somebody_else(world: World) -> None:
    async with proxy(world) as client:
        claimed = [f"192.0.2.{number}, 203.0.113.9" for number in range(30)]
        assert (await flood(client, LOGIN, claimed)).count(303) <= 8


@pytest.mark.case("DS-002")
async def test_a_whole_subnet_of_ipv6_is_one_client(world: World) -> None:
    async with proxy(world) as client:
        one = [f"2001:db8:0:1::{number:x}" for number in range(30)]
        assert (await flood(client, LOGIN, one)).count(303) <= 8
        assert (await flood(client, LOGIN, ["2001:db8:0:2::1"])) == [303]
        assert (await flood(client, LOGIN, ["::ffff:203.0.113.9"] * 15 + ["203.0.113.9"] * 15)).count(303) <= 8


async def test_a_whole_site_of_ipv6_is_five_clients(world: World) -> None:
    """A tunnel broker gives a /48 to anybody who asks: 65,536 networks that would each be a client."""
    before = refused("sign_in", "network")
    async with proxy(world) as client:
        statuses = await flood(client, LOGIN, [f"2001:db8:7:{number:x}::1" for number in range(1, 121)])
        assert statuses.count(303) >= 25, "a minute's worth of five, and what a slow machine takes longer for"
        assert 429 in statuses
        assert refused("sign_in", "network") == before + statuses.count(429)
        assert await flood(client, LOGIN, ["2001:db8:8::1"]) == [303]


async def test_forged_orders_from_everywhere_do_not_keep_the_providers_out(tmp_path: Path) -> None:
    everywhere = [f"198.18.{number // 250}.{number % 250 + 1}" for number in range(60)]
    rates = {"sign_in_rate_per_client": "60", "sign_in_rate": "2"}
    async with small_world(tmp_path, trusted_proxies="127.0.0.1", **rates) as world, proxy(world) as client:
        browser = world.browser()
        browser.http.headers["x-forwarded-for"] = HONEST
        await browser.sign_in()
        for path in ("/auth/backchannel-logout", "/auth/global-token-revocation"):
            assert set(await flood(client, path, everywhere, "POST")) <= {400, 401, 415}
        # Calls without a signature have rates of their own, and using them up costs the signed ones nothing.
        assert 429 in await flood(client, "/auth/frontchannel-logout", everywhere)

        async def order() -> int:
            token = world.okta.control.orders.logout_token(sub="00u1aliceliddell0001")
            answer = await client.post(
                "/auth/backchannel-logout", data={"logout_token": token}, headers={"x-forwarded-for": HONEST}
            )
            return answer.status_code

        assert await order() == 200
        assert (await browser.session())["authenticated"] is False
        statuses = [await order()]
        while statuses[-1] == 200 and len(statuses) < 400:  # twenty a minute, and what a slow machine takes longer for
            statuses.append(await order())
        assert statuses[15:] != []
        assert statuses[-1] == 429


@pytest.mark.case("DS-002")
async def test_a_flood_from_everywhere_meets_the_rate_for_all_and_costs_no_session(world: World) -> None:
    browser, leaving = world.browser(), world.browser()
    for each in (browser, leaving):
        each.http.headers["x-forwarded-for"] = HONEST
        await each.sign_in("alice@example.com" if each is browser else "bob@example.com")
    under_way = world.browser()
    under_way.http.headers["x-forwarded-for"] = HONEST
    callback = await under_way.until_callback("zoë@example.com")
    everywhere = [f"203.0.113.{number}" for number in range(100)]
    async with proxy(world) as client:
        for path, method in ((LOGIN, "GET"), (LOGOUT, "POST")):
            statuses = await flood(client, path, everywhere, method)
            assert statuses.count(429) >= 20, "40, less what a slow machine takes longer for"
        assert refused("sign_in", "all") > 0
    # The flood is at other doors than these.
    assert (await browser.fetch("/api/x")).status_code == 200
    assert (await under_way.arrive(callback)).status_code == 303
    assert (await under_way.session())["authenticated"]
    await leaving.sign_out()
    assert (await leaving.session())["authenticated"] is False


@pytest.mark.parametrize(
    ("path", "method", "door"),
    [
        (LOGIN, "GET", "sign_in"),
        (f"{LOGIN}?return_to=/x", "POST", "sign_in"),
        ("/auth/%6Cogin", "GET", "sign_in"),
        (CALLBACK, "GET", "callback"),
        (LOGOUT, "POST", "sign_out"),
    ],
)
async def test_each_door_has_its_own_count(world: World, path: str, method: str, door: str) -> None:
    before = refused(door, "client")
    async with proxy(world) as client:
        statuses = await flood(client, path, [HONEST] * 20, method)
        assert statuses.count(429) >= 12
        assert refused(door, "client") == before + statuses.count(429)
        elsewhere = LOGOUT if door != "sign_out" else LOGIN
        assert (await ask(client, elsewhere, HONEST, "POST" if door != "sign_out" else "GET")).status_code < 400


@pytest.mark.parametrize("path", PROVIDER)
async def test_the_provider_is_heard_ten_times_as_often_and_not_without_end(world: World, path: str) -> None:
    async with proxy(world) as client:
        statuses = await flood(client, path, [HONEST] * 90, "GET" if "front" in path else "POST")
    assert 429 in statuses
    assert len(statuses) - statuses.count(429) >= 50


async def test_a_person_signs_out_from_an_address_that_floods(world: World) -> None:
    """Colleagues behind one address: whoever brings a session is counted by the session."""
    browser = world.browser()
    browser.http.headers["x-forwarded-for"] = HONEST
    await browser.sign_in()
    async with proxy(world) as client:
        assert 429 in await flood(client, LOGOUT, [HONEST] * 20, "POST")
    await browser.sign_out()
    assert (await browser.session())["authenticated"] is False


async def test_one_session_that_signs_out_without_end_is_refused_too(world: World) -> None:
    browser, other = world.browser(), world.browser()
    for each in (browser, other):
        each.http.headers["x-forwarded-for"] = HONEST
        await each.sign_in()
    replayed = {**OWN_POST, "cookie": f"bff-session={browser.cookie('bff-session')}"}
    async with proxy(world) as client:
        answers = [await client.post(LOGOUT, headers={**replayed, "x-forwarded-for": HONEST}) for _ in range(20)]
    assert [answer.status_code for answer in answers][:5] == [200] * 5
    assert 429 in [answer.status_code for answer in answers]
    await other.sign_out()


async def test_a_script_gets_a_problem_and_a_person_a_page_that_leads_on(tmp_path: Path) -> None:
    one_a_minute = {"trusted_proxies": "127.0.0.1", "sign_in_rate_per_client": "1"}
    async with small_world(tmp_path, **one_a_minute) as world, proxy(world) as client:
        await ask(client, LOGIN, HONEST)
        await ask(client, LOGOUT, HONEST, "POST")
        page = await ask(client, f"{LOGIN}?return_to=/orders?page=2", HONEST)
        problem = await ask(client, LOGOUT, HONEST, "POST")
        evil = await ask(client, f"{LOGIN}?return_to=https://evil.example/", HONEST)
    assert (page.status_code, page.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert "/auth/login?return_to=/orders" in page.text
    assert "evil" not in evil.text
    assert (problem.status_code, problem.headers["content-type"]) == (429, "application/problem+json")
    assert problem.json()["code"] == "rate_limited"
    for answer in (page, problem):
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
async def test_behind_a_proxy_that_nobody_named_only_the_rate_for_all_holds(tmp_path: Path, trusted: str) -> None:
    rates = {"sign_in_rate_per_client": "1", "sign_in_rate": "40"}
    async with small_world(tmp_path, trusted_proxies=trusted, **rates) as world, proxy(world) as client:
        statuses = await flood(client, LOGIN, [HONEST] * 60)
        assert statuses.count(303) >= 40
        assert 429 in statuses


async def test_nought_turns_the_limits_off(tmp_path: Path) -> None:
    rates = {"sign_in_rate_per_client": "0", "sign_in_rate": "0"}
    async with small_world(tmp_path, trusted_proxies="127.0.0.1", **rates) as world, proxy(world) as client:
        assert set(await flood(client, LOGIN, [HONEST] * 60)) == {303}
