"""Sign-out here and at the provider: idempotent, protected against other sites, and without a token in any URL."""

import json

import pytest

from bff.session.session import EndReason
from bff.web.auth.logout import AT_PROVIDER
from bff.web.auth.sign_out_cookie import SignOutCookie
from bff.web.cookies import CookieNames
from tests.harness.web_parts import FETCH, NAVIGATION, PUBLIC_URL, Browser, WebParts


async def sign_out(browser: Browser, **more: object) -> str | None:
    response = await browser.fetch("POST", "/auth/logout", **more)
    assert response.status == 200
    url: str | None = json.loads(response.body)["end_session_url"]
    return None if url is None else url.removeprefix(PUBLIC_URL)


@pytest.mark.case("CK-018", "CA-013")
async def test_a_sign_out_ends_the_session_and_its_cookie(signed_in: Browser, parts: WebParts) -> None:
    response = await signed_in.fetch("POST", "/auth/logout")
    assert response.one("clear-site-data") == '"cache"'
    assert "__Host-Http-session" not in signed_in.cookies
    assert await parts.sessions() == []
    assert (await signed_in.session())["reason"] == "signed_out"
    assert await sign_out(signed_in) is None, "again, without a session"


async def test_the_provider_is_reached_once_by_this_browser(signed_in: Browser, parts: WebParts) -> None:
    url = await sign_out(signed_in)
    assert url is not None
    assert url.startswith(f"{AT_PROVIDER}?ticket=")
    assert (await parts.browser().navigate(url)).one("location") == "/", "another browser"
    assert (await signed_in.navigate(url, *FETCH)).problem == (403, "navigation_required")
    assert (await signed_in.navigate(f"{AT_PROVIDER}?ticket=guess")).one("location") == "/"
    response = await signed_in.navigate(url)
    location = response.one("location") or ""
    assert (response.status, location.startswith("https://example.okta.com/oauth2/default/v1/logout?")) == (303, True)
    assert "post_logout_redirect_uri=https%3A%2F%2Fapp.example.com%2F" in location
    assert (await signed_in.navigate(url)).one("location") == "/"


async def test_after_the_session_ended_by_itself_a_sign_out_still_reaches_the_provider(
    signed_in: Browser, parts: WebParts
) -> None:
    (session,) = await parts.sessions()
    await parts.flows.sessions.end_session.end(session.key, EndReason.REFRESH_TOKEN_INVALID)
    assert (await signed_in.session())["reason"] == "refresh_token_invalid"
    assert "__Host-Http-session" not in signed_in.cookies
    assert await sign_out(parts.browser()) is None, "another browser"
    url = await sign_out(signed_in)
    assert url is not None
    location = (await signed_in.navigate(url)).one("location") or ""
    assert f"id_token_hint={session.tokens.id_token}" in location
    assert await sign_out(signed_in) is None, "again"


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 200), (b"{}", 200), (b'{"local": true}', 200), (b'{"local": 1}', 400), (b'{"a": 1}', 400), (b"[", 400)],
)
async def test_the_body_may_ask_for_a_local_sign_out(signed_in: Browser, body: bytes, status: int) -> None:
    lines = [*FETCH, *(["content-type: application/json"] if body else [])]
    response = await signed_in.send("POST", "/auth/logout", *lines, body=body)
    assert response.status == status
    if status == 200:
        assert (json.loads(response.body)["end_session_url"] is None) == (b"local" in body)
    assert ("__Host-Http-session" in signed_in.cookies) == (status != 200)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (NAVIGATION, (403, "csrf_required")),
        (("sec-fetch-site: cross-site", "x-csrf: 1"), (403, "csrf_required")),
        ((*FETCH, "content-type: text/plain"), (415, "unsupported_media_type")),
    ],
)
async def test_another_site_signs_nobody_out(
    signed_in: Browser, lines: tuple[str, ...], problem: tuple[int, str]
) -> None:
    response = await signed_in.send("POST", "/auth/logout", *lines, "accept: */*")
    assert response.status == problem[0]
    assert problem[1].encode() in response.body
    assert (await signed_in.session())["authenticated"] is True


async def test_without_the_store_the_cookie_stays(signed_in: Browser, parts: WebParts) -> None:
    await parts.stores.sessions.close()
    assert (await signed_in.fetch("POST", "/auth/logout")).problem == (503, "store_unavailable")
    assert "__Host-Http-session" in signed_in.cookies


async def test_the_sign_out_cookie_is_ours_or_none(parts: WebParts) -> None:
    names = CookieNames()
    cookie = SignOutCookie(parts.stores.ring, names)
    header = cookie.seal("browser-1", lifetime=60)[1]
    sent = header.partition(b";")[0]
    assert b"browser-1" not in header
    assert cookie.read([(b"cookie", sent)]) == "browser-1"
    for wrong in ([], [(b"cookie", sent[:-1])], [(b"cookie", sent), (b"cookie", sent)]):
        assert cookie.read(wrong) is None
    assert b"Max-Age=0" in cookie.clear()[1]
