"""Floods of sign-ins from one address, from many, and under a false name; and those who sign in and out meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.telemetry.metrics import REGISTRY
from tests.harness.crowd import ask_from, crowd, flood_from
from tests.harness.http_browser import FETCH, Browser
from tests.harness.pages import problem
from tests.harness.world import World, small_world

LOGIN, CALLBACK, LOGOUT = "/auth/login", "/authorization-code/callback?code=x&state=y", "/auth/logout"
HONEST = "198.51.100.7"
BEHIND_A_PROXY = {"trusted_proxies": "127.0.0.1"}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Behind a proxy that the operator named: this machine."""
    async with small_world(tmp_path, **BEHIND_A_PROXY, sign_in_rate_per_client="5", sign_in_rate="40") as world:
        yield world


def browser_at(world: World, address: str = HONEST) -> Browser:
    browser = world.browser()
    browser.http.headers["x-forwarded-for"] = address
    return browser


def refused(endpoint: str, rate: str) -> float:
    return REGISTRY.get_sample_value("bff_rate_limited_total", {"endpoint": endpoint, "rate": rate}) or 0.0


@pytest.mark.case("DS-002")
async def test_a_flood_from_one_address_is_refused_and_its_neighbour_signs_in(world: World) -> None:
    before = refused("sign_in", "client")
    asked = len(world.okta.control.events())
    one = {
        "one address": ["203.0.113.9"] * 30,
        "a false address in front of the true one": [f"192.0.2.{n}, 203.0.113.19" for n in range(30)],
        "a /64 of IPv6": [f"2001:db8:0:1::{n:x}" for n in range(30)],
        "IPv4 in two spellings": ["::ffff:203.0.113.29"] * 15 + ["203.0.113.29"] * 15,
    }
    async with crowd(world) as client:
        for name, addresses in one.items():
            statuses = await flood_from(client, LOGIN, addresses)
            assert set(statuses) == {303, 429}, name
            assert 5 <= statuses.count(303) <= 8, "a minute's worth, and what a slow machine takes longer for"
    assert refused("sign_in", "client") > before + 4 * 20
    assert len(world.okta.control.events()) == asked, "the provider hears of a sign-in from the browser, never us"
    browser = browser_at(world)
    await browser.sign_in()
    assert (await browser.session())["authenticated"]


async def test_a_whole_site_of_ipv6_is_five_clients(world: World) -> None:
    """A tunnel broker gives a /48 to anybody who asks: 65,536 networks that would each be a client."""
    before = refused("sign_in", "network")
    async with crowd(world) as client:
        statuses = await flood_from(client, LOGIN, [f"2001:db8:7:{number:x}::1" for number in range(1, 61)])
        assert statuses.count(303) >= 25, "a minute's worth of five, and what a slow machine takes longer for"
        assert 429 in statuses
        assert refused("sign_in", "network") == before + statuses.count(429)
        assert await flood_from(client, LOGIN, ["2001:db8:8::1"]) == [303]


async def test_forged_logout_tokens_from_everywhere_do_not_keep_the_providers_out(tmp_path: Path) -> None:
    everywhere = [f"198.18.0.{number + 1}" for number in range(40)]
    rates = {"sign_in_rate_per_client": "60", "sign_in_rate": "2"}
    async with small_world(tmp_path, **BEHIND_A_PROXY, **rates) as world, crowd(world) as client:
        browser = browser_at(world)
        await browser.sign_in()
        for path in ("/auth/backchannel-logout", "/auth/global-token-revocation"):
            assert set(await flood_from(client, path, everywhere, "POST")) <= {400, 401, 415}
        # Calls without a signature have rates of their own, and using them up costs the signed ones nothing.
        assert 429 in await flood_from(client, "/auth/frontchannel-logout", everywhere)

        async def log_out() -> int:
            data = {"logout_token": world.okta.control.orders.logout_token(sub=world.sub())}
            headers = {"x-forwarded-for": HONEST}
            return (await client.post("/auth/backchannel-logout", data=data, headers=headers)).status_code

        assert await log_out() == 200
        assert (await browser.session())["authenticated"] is False
        statuses = [await log_out()]
        while statuses[-1] == 200 and len(statuses) < 400:  # twenty a minute, and what a slow machine takes longer for
            statuses.append(await log_out())
        assert statuses[15:] != []
        assert statuses[-1] == 429


@pytest.mark.case("DS-002")
async def test_a_flood_from_everywhere_meets_the_rate_for_all_and_costs_no_session(world: World) -> None:
    browser, leaving, under_way = (browser_at(world) for _ in range(3))
    await browser.sign_in()
    await leaving.sign_in("bob@example.com")
    callback = await under_way.until_callback("zoë@example.com")
    async with crowd(world) as client:
        for path, method in ((LOGIN, "GET"), (LOGOUT, "POST")):
            statuses = await flood_from(client, path, [f"203.0.113.{number}" for number in range(80)], method)
            assert statuses.count(429) >= 10, "40, less what a slow machine takes longer for"
        assert refused("sign_in", "all") > 0
    # The flood is at other endpoints than these.
    assert (await browser.fetch("/api/x")).status_code == 200
    assert (await under_way.arrive(callback)).status_code == 303
    assert (await under_way.session())["authenticated"]
    await leaving.sign_out()
    assert (await leaving.session())["authenticated"] is False


async def test_each_endpoint_has_its_own_count(world: World) -> None:
    async with crowd(world) as client:
        for number, (path, method, endpoint) in enumerate(
            (
                (LOGIN, "GET", "sign_in"),
                (f"{LOGIN}?return_to=/x", "POST", "sign_in"),
                ("/auth/%6Cogin", "GET", "sign_in"),
                (CALLBACK, "GET", "callback"),
                (LOGOUT, "POST", "sign_out"),
            )
        ):
            before, address = refused(endpoint, "client"), f"198.51.100.{number + 10}"
            statuses = await flood_from(client, path, [address] * 15, method)
            assert statuses.count(429) >= 7, path
            assert refused(endpoint, "client") == before + statuses.count(429)
            elsewhere = (LOGIN, "GET") if endpoint == "sign_out" else (LOGOUT, "POST")
            assert (await ask_from(client, elsewhere[0], address, elsewhere[1])).status_code < 400


async def test_the_provider_may_call_ten_times_as_often_and_not_without_end(world: World) -> None:
    async with crowd(world) as client:
        for address, method, path in (
            ("198.51.100.1", "POST", "/auth/backchannel-logout"),
            ("198.51.100.2", "GET", "/auth/frontchannel-logout"),
            ("198.51.100.3", "POST", "/auth/global-token-revocation"),
        ):
            statuses = await flood_from(client, path, [address] * 80, method)
            assert 429 in statuses, path
            assert len(statuses) - statuses.count(429) >= 50


async def test_a_sign_out_with_a_session_is_counted_by_the_session(world: World) -> None:
    """Colleagues behind one address do not keep each other in; one session that is replayed is refused in the end."""
    browser, other = browser_at(world), browser_at(world)
    await browser.sign_in()
    await other.sign_in()
    async with crowd(world) as client:
        assert 429 in await flood_from(client, LOGOUT, [HONEST] * 20, "POST")
        cookie = {"cookie": f"bff-session={browser.cookie('bff-session')}"}
        headers = {**FETCH, "x-csrf": "1", "x-forwarded-for": HONEST, **cookie}
        statuses = [(await client.post(LOGOUT, headers=headers)).status_code for _ in range(20)]
    assert statuses[:5] == [200] * 5
    assert 429 in statuses
    await other.sign_out()
    assert (await other.session())["authenticated"] is False


async def test_a_script_gets_a_problem_and_a_person_a_page_that_leads_on(tmp_path: Path) -> None:
    rates = {**BEHIND_A_PROXY, "sign_in_rate_per_client": "1"}
    async with small_world(tmp_path, **rates) as world, crowd(world) as client:
        await ask_from(client, LOGIN, HONEST)
        await ask_from(client, LOGOUT, HONEST, "POST")
        page = await ask_from(client, f"{LOGIN}?return_to=/orders?page=2", HONEST)
        told = await ask_from(client, LOGOUT, HONEST, "POST")
        evil = await ask_from(client, f"{LOGIN}?return_to=https://evil.example/", HONEST)
    assert (page.status_code, page.headers["content-type"]) == (429, "text/html; charset=utf-8")
    assert "/auth/login?return_to=/orders" in page.text
    assert "evil" not in evil.text
    assert problem(told) == (429, "rate_limited")
    for answer in (page, told):
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert answer.headers["cache-control"] == "no-store"
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8"])
async def test_behind_a_proxy_that_nobody_named_only_the_rate_for_all_holds(tmp_path: Path, trusted: str) -> None:
    rates = {"sign_in_rate_per_client": "1", "sign_in_rate": "20"}
    async with small_world(tmp_path, trusted_proxies=trusted, **rates) as world, crowd(world) as client:
        statuses = await flood_from(client, LOGIN, [HONEST] * 40)
        assert statuses.count(303) >= 20
        assert 429 in statuses


async def test_zero_turns_the_limits_off(tmp_path: Path) -> None:
    rates = {"sign_in_rate_per_client": "0", "sign_in_rate": "0"}
    async with small_world(tmp_path, **BEHIND_A_PROXY, **rates) as world, crowd(world) as client:
        assert set(await flood_from(client, LOGIN, [HONEST] * 60)) == {303}
