"""What a provider may answer when the code is redeemed: other people's tokens, half ones, none, and floods.

Whatever it is, nobody is signed in by it, the person gets a page, and tokens that were granted are revoked.
"""

import pytest

from tests.harness.http_browser import Browser
from tests.harness.pages import error_page, parameters, with_parameters
from tests.harness.world import World


async def assert_signed_out(world: World, browser: Browser) -> None:
    assert (await browser.session())["authenticated"] is False
    assert (await browser.fetch("/api/x")).status_code == 401
    assert world.upstream.heard == []


# --- somebody else's code or token -----------------------------------------------------------------------------------


@pytest.mark.case("AZ-017")
async def test_a_stolen_code_does_not_fit_another_sign_in(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    stolen = parameters(await victim.until_callback("alice@example.com"))["code"]
    own = await attacker.until_callback("bob@example.com")
    assert error_page(await attacker.arrive(with_parameters(own, code=stolen))) == (502, "sign_in_failed")
    await assert_signed_out(world, attacker)
    assert world.revoked == []


async def test_keys_that_were_changed_in_an_emergency_are_fetched_in_the_middle_of_a_sign_in(world: World) -> None:
    browser = await world.signed_in()
    await browser.sign_out()
    world.okta.control.rotate_keys(emergency=True, forget_previous=True)
    await browser.sign_in()
    assert (await browser.session())["authenticated"] is True
