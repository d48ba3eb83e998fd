"""Pushed authorization requests (RFC 9126) as a browser sees them: its address carries a name, or it carries all."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from demo.simulator.server import RunningSimulator
from tests.harness.pages import error_page
from tests.harness.world import World, small_world

UNAVAILABLE = "provider_unavailable"
OFFERED = {"pushed_requests": True}


def requires_it(okta: RunningSimulator) -> None:
    change = {"require_pushed_authorization_requests": True}
    okta.control.fault("edit_answer", endpoint="openid-configuration", set=change, times=None)


def carried(url: str) -> set[str]:
    return set(parse_qs(urlsplit(url).query))


def pushed(world: World) -> int:
    return sum(event.kind == "pushed" for event in world.okta.control.events())


BY_NAME = {"client_id", "request_uri"}


@pytest.mark.parametrize("answered", [200, 201])
async def test_where_it_is_offered_the_browser_carries_a_name_and_nothing_else(tmp_path: Path, answered: int) -> None:
    async with small_world(tmp_path, okta={**OFFERED, "pushed_status": answered}) as world:
        browser = world.browser()
        url = await browser.begin("/orders")
        assert carried(url) == BY_NAME
        arrived = await browser.arrive(await browser.at_provider(url))
        assert arrived.status_code == 303
        assert (await browser.session())["user"]["email"] == "alice@example.com"
        assert (await browser.fetch("/api/a")).status_code == 200
        assert pushed(world) == 1
        assert world.okta.control.violations == []


async def test_options_of_a_sign_in_are_pushed_with_it(tmp_path: Path) -> None:
    async with small_world(tmp_path, okta=OFFERED) as world:
        browser = world.browser()
        page = await browser.navigate("/auth/login?login_hint=bob@example.com")
        assert "bob@example.com" in page.text
        assert "bob" not in str(page.url)


async def test_a_push_that_fails_costs_nobody_a_sign_in_and_is_not_tried_again_at_once(tmp_path: Path) -> None:
    async with small_world(tmp_path, okta=OFFERED) as world:
        for count, kind in enumerate(("server_error", "access_denied", "reset", "html")):
            world.okta.control.fault(kind, endpoint="par")
            browser = world.browser()
            url = await browser.begin()
            assert "state" in carried(url), kind
            await browser.arrive(await browser.at_provider(url))
            assert (await browser.fetch("/api/a")).status_code == 200
            world.clock.ahead += 290
            assert "state" in carried(await world.browser().begin())
            assert pushed(world) == count, "each try would delay a sign-in"
            world.clock.ahead += 11
            assert carried(await world.browser().begin()) == BY_NAME


async def test_what_the_provider_requires_is_never_left_out(tmp_path: Path) -> None:
    async with small_world(tmp_path, okta=OFFERED, prepare=requires_it) as world:
        assert carried(await world.browser().begin()) == BY_NAME
        world.okta.control.fault("server_error", endpoint="par")
        assert error_page(await world.browser().navigate("/auth/login")) == (503, UNAVAILABLE)
        assert carried(await world.browser().begin()) == BY_NAME
