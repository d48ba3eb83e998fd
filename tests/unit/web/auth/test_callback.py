"""The redirect URI: a session for the browser that began the sign-in, and no harm to any other one."""

from pathlib import Path
from urllib.parse import urlencode

import pytest

from bff.web.auth.callback import RESTARTS
from bff.web.auth.landing import LANDING
from tests.harness.web_parts import CALLBACK, CROSS_SITE, FETCH, FORM, Browser, WebParts, web_parts

SESSION = "__Host-Http-session"


@pytest.mark.case("AZ-051")
async def test_a_sign_in_creates_a_session_and_leads_back(parts: WebParts, browser: Browser) -> None:
    response = await browser.sign_in("?return_to=/orders%3Fa=1")
    assert (response.status, response.one("location")) == (303, "/orders?a=1")
    assert sorted(browser.cookies) == [f"__Host-Http-{name}" for name in ("attempts", "browser", "session")]
    [session] = await parts.sessions()
    assert (session.user.sub, session.sid) == ("00u1", "sid-1")
    assert "canary" not in repr(response), "the browser never holds a token"


@pytest.mark.case("AZ-014")
async def test_a_response_is_used_once_and_a_reload_leads_back(browser: Browser, parts: WebParts) -> None:
    asked = await browser.begin("?return_to=/orders")
    before = dict(browser.cookies)
    assert (await browser.finish(asked)).status == 303
    reload = await browser.finish(asked)
    assert (reload.status, reload.one("location")) == (303, "/orders")
    replay = parts.browser()  # the same response and login cookie, in a browser without a session
    replay.cookies = {name: value for name, value in before.items() if "login-" in name}
    assert (await replay.finish(asked, "accept: */*")).problem == (400, "sign_in_state_invalid")
    assert len(await parts.sessions()) == 1


@pytest.mark.parametrize(
    "query",
    ["state=forged&code=c-1", "code=c-1", "state={state}x&code=c-1", "error=access_denied", "state=&code=c-1"],
)
async def test_a_response_without_our_state_is_refused(browser: Browser, query: str) -> None:
    asked = await browser.begin()
    response = await browser.navigate(f"{CALLBACK}?{query.format(**asked)}")
    assert response.status == 400
    assert response.one("content-type") == "text/html; charset=utf-8"
    assert SESSION not in browser.cookies
    assert (await browser.finish(asked)).status == 303, "the sign-in in progress goes on"


async def test_a_response_for_another_browser_creates_no_session(parts: WebParts, browser: Browser) -> None:
    stranger = parts.browser()
    await stranger.begin()
    assert (await stranger.finish(await browser.begin())).status == 400
    assert await parts.sessions() == []


@pytest.mark.case("AZ-033", "AZ-035")
async def test_a_failed_response_keeps_the_session(signed_in: Browser) -> None:
    for query in ("state=forged&code=c-1", "error=server_error"):
        await signed_in.navigate(f"{CALLBACK}?{query}")
    assert (await signed_in.session())["authenticated"] is True


@pytest.mark.case("AZ-038", "AZ-053")
@pytest.mark.parametrize("lines", [FETCH, ("sec-fetch-dest: iframe",), ("sec-purpose: prefetch",)])
async def test_only_a_navigation_is_a_response(browser: Browser, lines: tuple[str, ...]) -> None:
    response = await browser.finish(await browser.begin(), *lines)
    assert (response.status, b"navigation_required" in response.body) == (403, True)


@pytest.mark.case("AZ-039")
async def test_the_sign_in_expires_and_the_page_offers_another(browser: Browser, parts: WebParts) -> None:
    asked = await browser.begin("?return_to=/orders")
    parts.clock.now += parts.settings.sign_in.login_lifetime + 1
    response = await browser.finish(asked)
    assert (response.status, b"sign_in_expired" in response.body) == (400, True)
    assert b"/auth/login?return_to=/orders" in response.body
    assert not any("login-" in name for name in browser.cookies)


@pytest.mark.case("AZ-032", "AZ-034")
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("access_denied", 403, b"sign_in_refused"),
        ("login_required", 403, b"sign_in_refused"),
        ("temporarily_unavailable", 503, b"provider_unavailable"),
        ("invalid_scope", 502, b"sign_in_failed"),
    ],
)
async def test_an_error_of_the_provider_is_shown_as_ours(
    browser: Browser, error: str, status: int, code: bytes
) -> None:
    asked = await browser.begin("?return_to=/orders")
    kept = dict(browser.cookies)
    hostile = "error_description=CANARY&error_uri=https://evil.test/CANARY"
    response = await browser.navigate(f"{CALLBACK}?error={error}&{hostile}&state={asked['state']}")
    assert (response.status, code in response.body) == (status, True)
    assert b"CANARY" not in response.body
    assert not any("login-" in name for name in browser.cookies)
    browser.cookies = kept
    assert (await browser.finish(asked)).status == 400, "the error has used the sign-in up"


async def test_a_silent_check_leads_back_without_a_session(browser: Browser) -> None:
    asked = await browser.begin("?prompt=none&return_to=/orders")
    response = await browser.navigate(f"{CALLBACK}?error=login_required&state={asked['state']}")
    assert (response.status, response.one("location"), SESSION in browser.cookies) == (303, "/orders", False)


async def test_a_user_who_was_signed_out_meanwhile_starts_again_a_few_times(browser: Browser, parts: WebParts) -> None:
    asked = await browser.begin("?return_to=/orders")
    for _ in range(RESTARTS):
        await parts.stores.logout_markers.put("sub", "00u1", parts.clock.now + 1)
        response = await browser.finish(asked)
        location = response.one("location") or ""
        assert (response.status, location.startswith("https://example.okta.com/")) == (303, True)
        asked = {"state": location.partition("state=")[2].partition("&")[0]}
        parts.provider.nonce = location.partition("nonce=")[2].partition("&")[0]
    assert (await browser.finish(asked)).status == 403
    assert await parts.sessions() == []


async def test_a_store_outage_keeps_the_login_cookie(browser: Browser, parts: WebParts) -> None:
    asked = await browser.begin()
    await parts.stores.sessions.close()
    assert (await browser.finish(asked)).status == 503
    assert any("login-" in name for name in browser.cookies)


@pytest.mark.parametrize(
    ("iss", "status"), [("", 303), ("?iss=https%3A%2F%2Fexample.okta.com", 303), ("?iss=evil", 400)]
)
async def test_a_request_without_a_response_starts_a_sign_in(browser: Browser, iss: str, status: int) -> None:
    """Okta's self-registration guide sets the Initiate login URI to this address."""
    response = await browser.navigate(CALLBACK + iss)
    assert response.status == status
    assert (response.one("location") or "https://example.okta.com/").startswith("https://example.okta.com/")


async def test_a_form_post_leads_to_the_landing_page(tmp_path: Path) -> None:
    """On a cross-site POST the browser withholds its Lax cookies, and the Strict one from the redirect behind it."""
    async with web_parts(tmp_path, response_mode="form_post") as parts:
        browser = parts.browser()
        asked = await browser.begin("?return_to=/orders%23a")
        form = urlencode({"code": "c-1", "state": asked["state"]}).encode()
        response = await browser.send("POST", CALLBACK, *CROSS_SITE, FORM, body=form, without="browser")
        assert (response.status, response.one("location")) == (303, f"{LANDING}?to=/orders%23a")
        assert (await browser.session())["authenticated"] is True
        refused = await browser.send("POST", CALLBACK, *CROSS_SITE, "content-type: text/plain", body=form)
        assert refused.status == 415


async def test_the_session_remembers_browser_and_network_coarsely(parts: WebParts, browser: Browser) -> None:
    agent = "user-agent: Mozilla/5.0 (Windows NT 10.0; rv:130.0) Gecko/20100101 Firefox/130.0"
    await browser.finish(await browser.begin(), *CROSS_SITE, agent)
    [session] = await parts.sessions()
    assert (session.client, session.address) == ("Firefox on Windows", "192.0.2.0/24")


async def test_an_older_sign_in_whose_slot_was_taken_starts_again(parts: WebParts, browser: Browser) -> None:
    asked = await browser.begin("?return_to=/first")
    [name] = [name for name in browser.cookies if "login-" in name]
    newer = parts.browser()
    while name not in newer.cookies:  # each start takes the next slot
        newer.cookies = {}
        newest = await newer.begin("?return_to=/second")
    browser.cookies[name] = newer.cookies[name]
    response = await browser.finish(asked)
    assert (response.status, (response.one("location") or "").startswith("https://example.okta.com/")) == (303, True)
    assert newest["state"] != asked["state"]
    assert await parts.sessions() == []
