"""Floods of sign-ins from one address, from many, and under a false name; and those who sign in and out meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.telemetry.metrics import REGISTRY
from tests.harness.crowd import crowd, flood_from
from tests.harness.http_browser import Browser
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
