"""`/auth/session`: who is signed in and until when, why a session ended, and what only asking never changes."""

import pytest

from bff.session.keyring import new_key, new_session_id
from bff.session.session import EndReason
from bff.web.auth.session import REASON_SHOWN
from bff.web.session_cookies import seal_session_cookie
from tests.harness.minting import NOW
from tests.harness.web_parts import FETCH, NAVIGATION, Browser, WebParts

SESSION = "__Host-Http-session"


@pytest.mark.case("CA-014", "CA-012")
async def test_a_session_is_shown_with_its_limits_and_no_token(signed_in: Browser, parts: WebParts) -> None:
    parts.clock.now += 60
    response = await signed_in.fetch("GET", "/auth/session")
    limits = parts.settings.session
    content = await signed_in.session()
    assert content["authenticated"] is True
    assert content["user"]["email"] == "ann@example.com"
    assert content["session"] == {
        "signed_in_at": int(NOW),
        "idle_ends_at": int(NOW + limits.idle_timeout),
        "ends_at": int(NOW + limits.max_lifetime),
        "now": int(NOW) + 60,
    }
    assert b"canary" not in response.body
    assert response.all("set-cookie") == []
    assert response.one("cache-control") == "no-store"
    head = await signed_in.fetch("HEAD", "/auth/session")
    assert (head.status, head.headers) == (200, response.headers)


@pytest.mark.case("CK-013")
async def test_only_extend_extends_the_idle_timeout(signed_in: Browser, parts: WebParts) -> None:
    idle = parts.settings.session.idle_timeout
    parts.clock.now += idle - 10
    await signed_in.session()
    extended = await signed_in.fetch("POST", "/auth/session/extend")
    assert extended.status == 200
    assert (await signed_in.session())["session"]["idle_ends_at"] == int(parts.clock.now + idle)
    parts.clock.now += idle + 1
    assert (await signed_in.fetch("POST", "/auth/session/extend")).problem == (401, "sign_in_required")


@pytest.mark.parametrize("lines", [NAVIGATION, ("sec-fetch-site: cross-site", "x-csrf: 1"), FETCH[:2]])
async def test_extending_needs_our_own_script(signed_in: Browser, lines: tuple[str, ...]) -> None:
    assert (await signed_in.send("POST", "/auth/session/extend", *lines)).status == 403


@pytest.mark.case("CK-012")
@pytest.mark.parametrize(("limit", "reason"), [("idle_timeout", "idle_timeout"), ("max_lifetime", "absolute_timeout")])
async def test_a_session_over_its_limit_is_ended(signed_in: Browser, parts: WebParts, limit: str, reason: str) -> None:
    if limit == "max_lifetime":
        [session] = await parts.sessions()
        await parts.stores.sessions.touch(session.key, NOW + parts.settings.session.max_lifetime)
    parts.clock.now += getattr(parts.settings.session, limit) + 1
    assert await signed_in.session() == {"authenticated": False, "reason": reason}
    assert SESSION not in signed_in.cookies
    assert await parts.sessions() == []


async def test_the_cookie_of_a_replaced_session_is_not_deleted(signed_in: Browser, parts: WebParts) -> None:
    """Its answer may arrive after the cookie of the new session, and would delete that."""
    before = dict(signed_in.cookies)
    await signed_in.sign_in()
    other_tab = parts.browser()
    other_tab.cookies = before
    response = await other_tab.fetch("GET", "/auth/session")
    assert b'"reason":"replaced"' in response.body
    assert response.all("set-cookie") == []
    assert (await signed_in.session())["authenticated"] is True


async def test_the_end_reason_is_for_our_scripts_and_for_a_while(signed_in: Browser, parts: WebParts) -> None:
    [session] = await parts.sessions()
    await parts.flows.sessions.end_session.end(session.key, EndReason.SIGNED_OUT_ELSEWHERE)
    for method, lines in (("HEAD", FETCH), ("GET", NAVIGATION), ("GET", ("sec-fetch-site: cross-site",))):
        response = await signed_in.send(method, "/auth/session", *lines)
        assert (response.status, b"elsewhere" in response.body) == (200, False)
    for _ in range(2):  # two tabs
        assert await signed_in.session() == {"authenticated": False, "reason": "signed_out_elsewhere"}
    assert SESSION not in signed_in.cookies
    parts.clock.now += REASON_SHOWN + 1
    assert await signed_in.session() == {"authenticated": False, "reason": None}


async def test_a_lost_record_keeps_the_cookie(browser: Browser, parts: WebParts) -> None:
    """A store that lost it may recover it."""
    sealed = seal_session_cookie(new_session_id(), parts.stores.ring)
    browser.cookies[SESSION] = sealed
    assert await browser.session() == {"authenticated": False, "reason": None}
    assert browser.cookies[SESSION] == sealed


async def test_a_removed_key_is_a_reason_and_keeps_cookie_and_record(signed_in: Browser, parts: WebParts) -> None:
    before = dict(signed_in.cookies)
    keys = list(parts.settings.session.key_ring)
    parts.stores.ring.replace_keys([new_key()])
    assert await signed_in.session() == {"authenticated": False, "reason": "key_removed"}
    assert (await signed_in.fetch("POST", "/auth/session/extend")).problem == (401, "sign_in_required")
    assert signed_in.cookies == before
    parts.stores.ring.replace_keys(keys)
    assert (await signed_in.session())["authenticated"] is True


async def test_under_a_newer_key_the_cookie_is_sealed_again(signed_in: Browser, parts: WebParts) -> None:
    before = signed_in.cookies[SESSION]
    parts.stores.ring.replace_keys([new_key(), *parts.settings.session.key_ring])
    assert (await signed_in.session())["authenticated"] is True
    after = signed_in.cookies[SESSION]
    assert after != before
    await signed_in.session()
    assert signed_in.cookies[SESSION] == after


async def test_a_duplicate_cookie_is_refused(signed_in: Browser) -> None:
    response = await signed_in.fetch("GET", "/auth/session")
    assert response.status == 200
    twice = f"cookie: {SESSION}={signed_in.cookies[SESSION]}"
    assert (await signed_in.send("GET", "/auth/session", *FETCH, twice)).problem == (400, "invalid_request")


async def test_without_the_store_it_is_503_and_the_cookie_stays(signed_in: Browser, parts: WebParts) -> None:
    await parts.stores.sessions.close()
    assert (await signed_in.fetch("GET", "/auth/session")).problem == (503, "store_unavailable")
    assert SESSION in signed_in.cookies
