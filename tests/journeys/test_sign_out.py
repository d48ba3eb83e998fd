"""A person signs out: here, at the provider by an address of our own that holds no token, or here alone."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.http_browser import Browser
from tests.harness.provider_orders import is_signed_in
from tests.harness.world import World


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


# --- the way to the provider -----------------------------------------------------------------------------------------


async def end_session_url(browser: Browser) -> str:
    found = (await browser.sign_out())["end_session_url"]
    assert isinstance(found, str)
    return found


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


async def test_sign_out_by_the_page_ends_both_sessions_and_leaves_no_state_in_the_address(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    page = await browser.navigate("/auth/logout", initiator="https://another.example")
    assert page.status_code == 200
    step = await browser.submit("/auth/logout", {}, initiator="http://localhost")
    assert step.status_code == 200
    assert step.headers["clear-site-data"] == '"cache"'
    assert browser.cookie("bff-session") is None
    to = step.text.partition("url=")[2].partition('"')[0]
    provider = await browser.navigate(to, initiator="http://localhost", follow=False)
    query = parse_qs(urlsplit(provider.headers["location"]).query)
    assert query.keys() == {"id_token_hint", "client_id", "post_logout_redirect_uri"}
    landed = await browser.navigate(provider.headers["location"], initiator="http://localhost")
    assert str(landed.url) == f"{world.public_url}/"
    assert (await browser.session())["reason"] == "signed_out"
