"""`BFF_RESPONSE_MODE=form_post` in a real browser: the provider's page posts the answer to us from another site."""

from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request

from demo.simulator.people import PASSWORD
from tests.harness.world import World, small_world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


async def sign_in(world: World, context: BrowserContext) -> tuple[Page, list[Request]]:
    """The page as it stands after a whole sign-in, and every request that it took."""
    page = await context.new_page()
    requests: list[Request] = []
    page.on("request", lambda request: requests.append(request))
    await page.goto(f"{world.public_url}/auth/login?return_to=/orders")
    await page.get_by_label("Username").fill("alice@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{world.public_url}/orders")
    return page, requests


async def test_a_sign_in_by_form_post_ends_where_it_was_to_and_no_code_is_in_any_address(
    tmp_path: Path, browser: Browser
) -> None:
    async with small_world(tmp_path, response_mode="form_post") as world:
        context = await browser.new_context()
        page, requests = await sign_in(world, context)
        shown = await page.goto(f"{world.public_url}/auth/session")
        assert shown is not None
        session = await shown.json()
        assert session["user"]["name"] == "Alice Liddell"
        (answered,) = [request for request in requests if request.url.startswith(world.callback)]
        assert answered.method == "POST"
        answer = dict(parse_qsl(answered.post_data or ""))
        assert answer["code"]
        assert answer["state"]
        assert not [request.url for request in requests if answer["code"] in request.url]
        names = {cookie["name"]: cookie.get("sameSite") for cookie in await context.cookies(world.public_url)}
        assert names["bff-session"] == "Strict", "the session's cookie is as strict as ever"
        assert not [name for name in names if name.startswith("login-")], "the transaction's cookie has served"

        other = await browser.new_context()
        http = other.request
        replayed = await http.post(world.callback, form=answer, headers={"sec-fetch-mode": "navigate"})
        assert (replayed.status, "sign_in_state_invalid" in await replayed.text()) == (400, True)
        assert await (await http.get(f"{world.public_url}/auth/session")).json() == {
            "authenticated": False,
            "reason": None,
        }
        assert world.okta.control.violations == []
