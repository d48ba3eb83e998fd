"""Answers at the callback that need two replicas, two browsers or the provider's own rules."""

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.harness.pages import error_page, parameters, set_cookies, with_parameters
from tests.harness.redis_servers import one_server
from tests.harness.world import World, small_world

STATE_INVALID = (400, "sign_in_state_invalid")


@pytest.mark.case("AZ-015")
async def test_two_replicas_at_once_redeem_one_code_once(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world, world.replica() as replica:
            browser = world.browser()
            answer = await browser.until_callback()
            urls = (answer, answer.replace(world.public_url, replica))
            here, there = await asyncio.gather(*(browser.arrive(url) for url in urls))
            opened = [each for each in (here, there) if "bff-session" in set_cookies(each)]
            assert len(opened) == world.okta.control.token_requests == len(world.revoked) == 1
            assert (await browser.session())["authenticated"] is True
            # The slower one redirects to the page if the session was there already; otherwise it shows an error page.
            other = here if opened == [there] else there
            assert other.status_code == 303 or error_page(other) == STATE_INVALID


async def test_the_log_holds_known_error_codes_and_nothing_else_of_the_answer(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The client writes error and error_description; the provider's may quote what was typed."""
    browser = world.browser()
    with caplog.at_level(logging.DEBUG, "bff"):
        for error in ("access_denied", "canary-of-a-stranger", "x" * 128):
            state = parameters(await browser.begin())["state"]
            answer = {"error": error, "error_description": "canary: my password is hunter2", "state": state}
            await browser.arrive(f"{world.callback}?{urlencode(answer)}")
    ours = [vars(record) for record in caplog.records if record.name.startswith("bff")]
    assert [each["error"] for each in ours if "where" in each] == ["access_denied", "other", "other"]
    assert not [each for each in ours if "canary" in str(each) or "hunter2" in str(each) or "xxxx" in str(each)]


@pytest.mark.case("AZ-017")
async def test_a_stolen_code_does_not_fit_another_sign_in(world: World) -> None:
    attacker, victim = world.browser(), world.browser()
    stolen = parameters(await victim.until_callback("alice@example.com"))["code"]
    own = await attacker.until_callback("bob@example.com")
    assert error_page(await attacker.arrive(with_parameters(own, code=stolen))) == (502, "sign_in_failed")
    assert (await attacker.session())["authenticated"] is False
    assert world.revoked == []


async def test_keys_that_were_changed_in_an_emergency_are_fetched_in_the_middle_of_a_sign_in(world: World) -> None:
    browser = await world.signed_in()
    await browser.sign_out()
    world.okta.control.rotate_keys(emergency=True, forget_previous=True)
    await browser.sign_in()
    assert (await browser.session())["authenticated"] is True
