"""What a link may ask of a sign-in: silence, a fresh password, another identity provider; and sign-in loops."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from demo.simulator.grants import RotationPolicy
from tests.harness.world import World, small_world

BOB = "bob@example.com"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    rotation = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=rotation, allowed_idps="0oaidp1 0oaidp2", acr_values="phr") as world:
        yield world


# --- the silent check ------------------------------------------------------------------------------------------------


async def test_a_silent_check_signs_in_who_is_known_at_the_provider(world: World) -> None:
    browser = await world.signed_in()
    await browser.sign_out()
    await browser.navigate("/auth/login?prompt=none")
    assert (await browser.session())["user"]["email"] == "alice@example.com"


# --- asking again ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["alice@example.com", BOB])
async def test_prompt_login_asks_for_the_password_and_replaces_the_session_only_then(world: World, login: str) -> None:
    browser = await world.signed_in()
    first = browser.cookie("bff-session")
    page = await browser.navigate("/auth/login?prompt=login&return_to=/orders")
    assert 'name="password"' in page.text
    assert (await browser.fetch("/api/x")).status_code == 200  # nothing has ended while the page is open
    assert browser.cookie("bff-session") == first
    await browser.fill_in(page, login)
    assert browser.cookie("bff-session") != first
    await world.settled()
    assert world.revoked == ["revoked by the client", None]
    assert (await browser.session())["user"]["email"] == login
    assert (await browser.fetch("/api/x")).status_code == 200
