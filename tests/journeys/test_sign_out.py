"""A person signs out: here, at the provider by an address of our own that holds no token, or here alone."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bff.config.settings import load_settings
from bff.flows.logout.provider_sign_out import TICKET_LIFETIME, ProviderSignOut
from demo.simulator.server import RunningSimulator
from tests.harness.example_session import a_session
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.provider_orders import is_signed_in, reason
from tests.harness.settings import with_changes
from tests.harness.world import World, small_world

GOODBYE = {"signed_out_path": "/goodbye"}


@pytest.mark.case("BL-032")
@pytest.mark.parametrize("how", ["refuse", "stall", "error"])
async def test_signing_out_needs_no_provider(tmp_path: Path, how: Any) -> None:
    """The record is gone while the provider answers nothing: what is left to do is done in the background."""
    async with small_world(tmp_path) as world:
        browser = await world.signed_in()
        await world.okta.control.down(how=how)
        assert (await browser.sign_out()).keys() == {"end_session_url"}
        assert await reason(browser) == "signed_out"
        await world.okta.control.up()


@pytest.mark.case("BL-030", "BL-033")
async def test_signing_out_twice_is_signing_out_and_a_state_afterwards_means_nothing(world: World) -> None:
    browser = await world.signed_in()
    for query in ("", "?state=forged", "?state=a&state=b", "?error=x"):
        assert (await browser.navigate(f"/{query}")).status_code < 500
    assert await is_signed_in(browser)
    stolen = str(browser.cookie("bff-session"))
    first, second = await asyncio.gather(*(browser.fetch("/auth/logout", "POST") for _ in range(2)))
    assert {first.status_code, second.status_code} == {200}
    assert (await browser.sign_out())["end_session_url"] is None
    browser.plant("bff-session", stolen)
    assert (await browser.sign_out())["end_session_url"] is None
    assert not await is_signed_in(browser)
    await world.settled()
    assert world.revoked == ["revoked by the client"]


async def test_a_local_sign_out_leaves_the_provider_alone(world: World) -> None:
    browser = await world.signed_in()
    for body in ({"local": "yes"}, {"everywhere": True}, {"local": True, "x": 1}):
        assert (await browser.fetch("/auth/logout", "POST", json=body)).status_code == 400
    assert await is_signed_in(browser)
    answer = await browser.fetch("/auth/logout", "POST", json={"local": True})
    assert answer.json() == {"end_session_url": None}
    assert not await is_signed_in(browser)
    await world.settled()
    assert world.revoked == ["revoked by the client"], "our tokens are revoked all the same"
    landed = await browser.navigate("/auth/login?return_to=/again")
    assert str(landed.url) == f"{world.public_url}/again", "the provider's session asks for no password"


# --- the way to the provider -----------------------------------------------------------------------------------------


def register_goodbye(provider: RunningSimulator) -> None:
    """The simulator's client is registered before the BFF says where it sends people after a sign-out."""
    for uri in provider.control.client.post_logout_redirect_uris:
        provider.control.register(post_logout_redirect_uri=f"{uri}goodbye")


async def end_session_url(browser: Browser) -> str:
    found = (await browser.sign_out())["end_session_url"]
    assert isinstance(found, str)
    return found


def is_goodbye(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.headers["location"]) == (303, "/goodbye")


async def test_the_address_of_the_sign_out_holds_no_token(world: World) -> None:
    browser = await world.signed_in()
    answer = await browser.fetch("/auth/logout", "POST")
    url = answer.json()["end_session_url"]
    assert urlsplit(url)._replace(query="").geturl() == f"{world.public_url}/auth/logout/provider"
    assert parse_qs(urlsplit(url).query).keys() == {"ticket"}
    shown = [answer.text, *(f"{name}: {value}" for name, value in answer.headers.multi_items())]
    assert not any("eyJ" in each or "id_token" in each for each in shown)
    on = await browser.navigate(url, follow=False)
    assert on.status_code == 303
    assert (on.headers["cache-control"], on.headers["referrer-policy"], on.text) == ("no-store", "no-referrer", "")
    assert on.headers["location"].startswith(f"{world.okta.issuer}/v1/logout?")
    assert parse_qs(urlsplit(on.headers["location"]).query)["id_token_hint"][0].startswith("eyJ")
    assert "bff-sign-out" not in browser.cookie_names()
    assert str((await browser.navigate(url)).url) == f"{world.public_url}/", "used: it leads to where a sign-out leads"


async def test_the_address_is_good_once_in_this_browser_and_for_a_short_time(tmp_path: Path) -> None:
    async with small_world(tmp_path, prepare=register_goodbye, **GOODBYE) as world:
        browser, thief = await world.signed_in(), await world.signed_in("bob@example.com")
        stranger = world.browser()
        url, own = await end_session_url(browser), await end_session_url(thief)
        kept = str(browser.cookie("bff-sign-out"))
        assert is_goodbye(await thief.navigate(url, follow=False)), "a cookie that we sealed, for another ticket"
        assert is_goodbye(await stranger.navigate(url, follow=False)), "the address alone"
        for name in ("bff-sign-out", "bff-browser"):
            stranger.plant(name, "A" * 87)
        assert is_goodbye(await stranger.navigate(url, follow=False)), "a guessed cookie"
        wrong = url[:-1] + ("A" if url[-1] != "A" else "B")
        for address in ("/auth/logout/provider", wrong):
            assert is_goodbye(await browser.navigate(address, follow=False)), "the cookie without the ticket"
        back = await browser.navigate(url)
        assert urlsplit(str(back.url)).path == "/goodbye"
        assert "/v1/logout" in str(browser.seen[-2].request.url), "by way of the provider"
        browser.plant("bff-sign-out", kept)
        assert is_goodbye(await browser.navigate(url, follow=False)), "used"
        kept = str(thief.cookie("bff-sign-out"))
        world.advance(TICKET_LIFETIME + 1)
        thief.plant("bff-sign-out", kept)
        assert is_goodbye(await thief.navigate(own, follow=False)), "expired"


async def test_nothing_but_a_navigation_uses_the_address_up(world: World) -> None:
    browser = await world.signed_in()
    url = await end_session_url(browser)
    for headers in (
        {**NAVIGATION, "sec-fetch-dest": "iframe"},
        {**NAVIGATION, "sec-purpose": "prefetch"},
        {**FETCH, "x-csrf": "1"},
        {**FETCH, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
    ):
        answer = await browser.fetch(url, headers=headers)
        assert (answer.status_code, "location" in answer.headers) == (403, False), headers
    for method in ("HEAD", "POST", "OPTIONS"):
        assert (await browser.fetch(url, method)).status_code in (404, 405)
    forged = await browser.navigate(url, initiator="https://evil.example", follow=False)
    assert forged.headers["location"] == "/", "the Strict cookie is not sent: another site cannot use it up"
    assert (await browser.navigate(url, follow=False)).headers["location"].startswith(world.okta.issuer)


async def test_any_replica_knows_the_address_also_after_a_restart(world: World) -> None:
    browser = await world.signed_in()
    url = await end_session_url(browser)
    async with world.replica() as replica:
        answer = await browser.navigate(url.replace(world.public_url, replica), follow=False)
        assert answer.headers["location"].startswith(world.okta.issuer)
    await browser.sign_in()
    url = await end_session_url(browser)
    await world.restart()
    assert (await browser.navigate(url, follow=False)).headers["location"].startswith(world.okta.issuer)


async def test_the_provider_is_sent_an_id_token_unless_it_needs_none(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        for hint, sent in {"required": True, "optional": True, "never": False}.items():
            await world.restart(sign_out_hint=hint)
            browser = await world.signed_in()
            on = await browser.navigate(await end_session_url(browser), follow=False)
            query = parse_qs(urlsplit(on.headers["location"]).query)
            assert ("id_token_hint" in query) is sent, hint
            assert {"client_id", "post_logout_redirect_uri"} <= query.keys()


async def test_a_session_without_an_id_token_signs_out_at_the_provider_only_where_none_is_required(
    world: World,
) -> None:
    session = a_session()
    bare = replace(session, tokens=replace(session.tokens, id_token=None))
    found = {}
    for hint in ("required", "optional", "never"):
        settings = load_settings(with_changes(issuer="https://id.example.com", sign_out_hint=hint))
        way = ProviderSignOut(world.bff.stores.sessions, world.bff.providers.main, settings)
        ticket = await way.prepare(bare)
        found[hint] = ticket is not None
        if ticket is not None:
            assert "id_token_hint" not in (await way.take(ticket) or "id_token_hint")
            assert ticket.ticket not in repr(ticket)
            assert ticket.browser not in repr(ticket)
    assert found == {"required": False, "optional": True, "never": True}
