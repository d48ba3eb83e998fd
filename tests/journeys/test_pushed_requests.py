"""Pushed authorization requests (RFC 9126) as a browser sees them: its address carries a name, or it carries all."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.world import World, small_world

OFFERED = {"pushed_requests": True}


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
