"""The provider signs people out: back-channel logout, front-channel logout, and Okta's Universal Logout."""

from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from bff.web.auth.session import REASON_SHOWN
from tests.harness.provider_orders import (
    REVOCATION,
    is_signed_in,
    post_logout_token,
    reason,
    revoke,
    sid,
)
from tests.harness.redis_servers import one_server
from tests.harness.streams import Page
from tests.harness.world import World, small_world

ALICE, BOB = "alice@example.com", "bob@example.com"


# --- back-channel logout ---------------------------------------------------------------------------------------------


async def test_a_sid_ends_one_session_everywhere_and_the_reason_is_shown(world: World) -> None:
    first, second, other = await world.signed_in(), world.browser(), await world.signed_in(BOB)
    ended = sid(world)
    await second.sign_in()
    answer = await post_logout_token(world, sid=ended)
    assert (answer.status_code, answer.headers["cache-control"], answer.content) == (200, "no-store", b"")
    assert await reason(first) == "back_channel"
    assert await reason(first) == "back_channel", "a refusal does not use the reason up"
    assert await is_signed_in(second)
    assert await is_signed_in(other)
    assert await first.session() == {"authenticated": False, "reason": "back_channel"}
    world.advance(REASON_SHOWN + 1)
    assert await first.session() == {"authenticated": False, "reason": None}
    await world.settled()
    assert world.revoked.count(None) == 2


@pytest.mark.case("BL-025")
@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_a_stream_that_is_open_ends_with_the_session(tmp_path: Path, store: str) -> None:
    """The token comes to one replica, the stream is open on another where there are two."""
    with ExitStack() as servers:
        url = f"sqlite:///{tmp_path / 'bff.db'}"
        if store == "redis":
            url = servers.enter_context(one_server(tmp_path / "redis")).url
        async with AsyncExitStack() as running:
            world = await running.enter_async_context(small_world(tmp_path, store=url))
            browser = await world.signed_in()
            base = await running.enter_async_context(world.replica()) if store == "redis" else world.public_url
            reading = await running.enter_async_context(Page(base, browser).reading("/api/events"))
            await reading.next()
            assert (await post_logout_token(world, sub=world.sub())).status_code == 200
            assert await reading.end() == "broken", "never as if the upstream had finished"
            assert (await Page(base, browser).fetch("/api/x")).status_code == 401


async def test_a_sign_in_under_way_is_overtaken_and_silently_begins_again(world: World) -> None:
    browser = world.browser()
    answer = await browser.until_callback(return_to="/orders")
    assert (await post_logout_token(world, sub=world.sub())).status_code == 200
    back = await browser.arrive(answer)
    assert back.status_code == 303
    assert back.headers["location"].startswith(world.okta.issuer), "to the provider once more, with no page between"
    assert browser.cookie("bff-session") is None
    await world.settled()
    assert world.revoked.count(None) == 0
    landed = await browser.navigate(await browser.at_provider(back.headers["location"]))
    assert str(landed.url) == f"{world.public_url}/orders"
    assert await is_signed_in(browser)


# --- Okta Universal Logout -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("org_server", [False, True])
async def test_okta_ends_all_sessions_of_a_person_by_issuer_and_subject(tmp_path: Path, org_server: bool) -> None:
    async with small_world(tmp_path, org_server=org_server) as world:
        browser = await world.signed_in()
        subject = {"format": "iss_sub", "iss": world.okta.base_url, "sub": world.sub()}
        assert (await revoke(world, subject)).status_code == 204
        assert await reason(browser) == "universal_logout"
        again = await world.signed_in()
        url = f"{world.public_url}{REVOCATION}"
        assert await world.okta.control.orders.send_global_token_revocation(url, sub=world.sub()) == 204
        assert await reason(again) == "universal_logout"
