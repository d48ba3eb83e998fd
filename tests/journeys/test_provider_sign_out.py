"""The way to the provider's sign-out: an address of our own, without a token, good once and in one browser."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from bff.config.settings import load_settings
from bff.flows.logout.provider_sign_out import TICKET_LIFETIME, ProviderSignOut
from demo.simulator.server import RunningSimulator
from tests.harness.example_session import a_session
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.settings import with_changes
from tests.harness.world import World, small_world

GOODBYE = {"signed_out_path": "/goodbye"}


def registered(provider: RunningSimulator) -> None:
    """The simulator's client is registered before the BFF says where it sends people after a sign-out."""
    for uri in provider.control.client.post_logout_redirect_uris:
        provider.control.register(post_logout_redirect_uri=f"{uri}goodbye")


async def end_session_url(browser: Browser) -> str:
    found = (await browser.sign_out())["end_session_url"]
    assert isinstance(found, str)
    return found


def is_goodbye(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.headers["location"]) == (303, "/goodbye")


async def test_the_page_is_told_an_address_of_our_own_that_holds_no_token(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    answer = await browser.fetch("/auth/logout", "POST")
    url = answer.json()["end_session_url"]
    assert urlsplit(url)._replace(query="").geturl() == f"{world.public_url}/auth/logout/provider"
    assert parse_qs(urlsplit(url).query).keys() == {"ticket"}
    told = [answer.text, *(f"{name}: {value}" for name, value in answer.headers.multi_items())]
    assert not any("eyJ" in each or "id_token" in each for each in told)
    on = await browser.navigate(url, follow=False)
    assert on.status_code == 303
    assert (on.headers["cache-control"], on.headers["referrer-policy"], on.text) == ("no-store", "no-referrer", "")
    target = urlsplit(on.headers["location"])
    assert on.headers["location"].startswith(f"{world.okta.issuer}/v1/logout?")
    assert parse_qs(target.query)["id_token_hint"][0].startswith("eyJ")
    assert "bff-sign-out" not in browser.cookie_names()
    landed = await browser.navigate(url)
    assert str(landed.url) == f"{world.public_url}/", "used: it leads to where a sign-out leads"


async def test_the_address_is_good_once_and_in_this_browser_only(tmp_path: Path) -> None:
    async with small_world(tmp_path, prepare=registered, **GOODBYE) as world:
        browser, thief = world.browser(), world.browser()
        await browser.sign_in()
        url = await end_session_url(browser)
        assert is_goodbye(await thief.navigate(url, follow=False)), "the address alone"
        for name in ("bff-sign-out", "bff-browser"):
            thief.plant(name, "A" * 87)
        assert is_goodbye(await thief.navigate(url, follow=False)), "a guessed cookie"
        assert is_goodbye(await browser.navigate("/auth/logout/provider", follow=False)), "the cookie alone"
        wrong = url[:-1] + ("A" if url[-1] != "A" else "B")
        assert is_goodbye(await browser.navigate(wrong, follow=False))
        back = await browser.navigate(url)
        assert urlsplit(str(back.url)).path == "/goodbye"
        assert str(back.url) != f"{world.public_url}/goodbye", "by way of the provider, which adds the state"
        assert is_goodbye(await browser.navigate(url, follow=False)), "used"


async def test_another_browser_that_signed_out_too_cannot_use_it_and_a_kept_cookie_cannot_use_it_again(
    tmp_path: Path,
) -> None:
    async with small_world(tmp_path, prepare=registered, **GOODBYE) as world:
        browser, thief = world.browser(), world.browser()
        await browser.sign_in()
        await thief.sign_in("bob@example.com")
        url, own = await end_session_url(browser), await end_session_url(thief)
        assert is_goodbye(await thief.navigate(url, follow=False)), "a cookie that we sealed, for another ticket"
        kept = browser.cookie("bff-sign-out") or ""
        for who, where in ((browser, url), (thief, own)):
            assert (await who.navigate(where, follow=False)).headers["location"].startswith(world.okta.issuer)
        browser.plant("bff-sign-out", kept)
        assert is_goodbye(await browser.navigate(url, follow=False)), "used"


async def test_nothing_but_a_navigation_uses_the_address_up(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
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
    assert forged.headers["location"] == "/", "the Strict cookie stays at home: another site cannot use it up"
    assert (await browser.navigate(url, follow=False)).headers["location"].startswith(world.okta.issuer)


async def test_an_address_that_has_expired_leads_to_the_signed_out_page(tmp_path: Path) -> None:
    async with small_world(tmp_path, prepare=registered, **GOODBYE) as world:
        browser = world.browser()
        await browser.sign_in()
        url = await end_session_url(browser)
        kept = browser.cookie("bff-sign-out") or ""
        world.advance(TICKET_LIFETIME + 1)
        browser.plant("bff-sign-out", kept)
        assert is_goodbye(await browser.navigate(url, follow=False))


async def test_any_replica_knows_the_address_also_after_a_restart(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    url = await end_session_url(browser)
    async with world.replica() as replica:
        answer = await browser.navigate(url.replace(world.public_url, replica), follow=False)
        assert answer.headers["location"].startswith(world.okta.issuer)
    await browser.sign_in()
    url = await end_session_url(browser)
    await world.restart()
    assert (await browser.navigate(url, follow=False)).headers["location"].startswith(world.okta.issuer)


@pytest.mark.parametrize(("hint", "sent"), [("required", True), ("optional", True), ("never", False)])
async def test_the_provider_is_sent_an_id_token_unless_it_needs_none(tmp_path: Path, hint: str, sent: bool) -> None:
    async with small_world(tmp_path, sign_out_hint=hint) as world:
        browser = world.browser()
        await browser.sign_in()
        on = await browser.navigate(await end_session_url(browser), follow=False)
        query = parse_qs(urlsplit(on.headers["location"]).query)
        assert ("id_token_hint" in query) is sent
        assert {"client_id", "post_logout_redirect_uri", "state"} <= query.keys()


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
