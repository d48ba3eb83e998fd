"""`/auth/sessions`: a user's own sessions, on every browser, and nobody else's."""

import json
from typing import Any

import pytest

from bff.web.auth.sessions import handle
from tests.harness.web_parts import CROSS_SITE, FETCH, Browser, WebParts


async def listed(browser: Browser) -> list[dict[str, Any]]:
    response = await browser.fetch("GET", "/auth/sessions")
    assert response.status == 200
    return list(json.loads(response.body)["sessions"])


async def end(browser: Browser, what: dict[str, Any]) -> int:
    response = await browser.fetch("POST", "/auth/sessions/end", body=what)
    assert response.status == 200
    return int(json.loads(response.body)["ended"])


@pytest.fixture
async def phone(signed_in: Browser, parts: WebParts) -> Browser:
    """The same user's newer session, and beside it one of another user."""
    parts.clock.now += 10
    phone = parts.browser()
    await phone.sign_in()
    parts.provider.claims = {"sub": "00u2", "email": "bob@example.com"}
    await parts.browser().sign_in()
    return phone


async def test_own_sessions_are_listed_newest_first(signed_in: Browser, phone: Browser, parts: WebParts) -> None:
    sessions = await listed(signed_in)
    assert [(each["current"], each["address"]) for each in sessions] == [
        (False, "192.0.2.0/24"),
        (True, "192.0.2.0/24"),
    ]
    assert sessions[0]["signed_in_at"] == sessions[1]["signed_in_at"] + 10
    keys = [session.key for session in await parts.sessions()]
    assert {each["id"] for each in sessions} == {handle(key) for key in keys}
    assert not any(key in json.dumps(sessions) for key in keys)


async def test_a_session_over_its_limit_is_not_listed(signed_in: Browser, phone: Browser, parts: WebParts) -> None:
    parts.clock.now += parts.settings.session.idle_timeout - 5
    assert [each["current"] for each in await listed(phone)] == [True]


async def test_one_session_is_ended_by_its_id(signed_in: Browser, phone: Browser) -> None:
    [other] = [each["id"] for each in await listed(signed_in) if not each["current"]]
    assert [await end(signed_in, {"id": other}) for _ in range(2)] == [1, 0]
    assert await phone.session() == {"authenticated": False, "reason": "signed_out_elsewhere"}
    [mine] = [each["id"] for each in await listed(signed_in)]
    assert await end(signed_in, {"id": mine}) == 1
    assert "__Host-Http-session" not in signed_in.cookies
    assert (await signed_in.session())["reason"] == "signed_out"


async def test_all_others_are_ended_but_another_users_never(
    signed_in: Browser, phone: Browser, parts: WebParts
) -> None:
    [foreign] = await parts.sessions("00u2")
    assert await end(signed_in, {"id": handle(foreign.key)}) == 0
    assert await end(signed_in, {"others": True}) == 1
    assert (await signed_in.session())["authenticated"] is True
    assert (await phone.session())["authenticated"] is False
    assert await parts.sessions("00u2") == [foreign]


@pytest.mark.parametrize("body", [{}, {"id": 1}, {"others": False}, {"others": "yes"}])
async def test_any_other_body_is_refused(signed_in: Browser, body: dict[str, Any]) -> None:
    response = await signed_in.fetch("POST", "/auth/sessions/end", body=body)
    assert response.problem == (400, "invalid_request")
    assert len(await listed(signed_in)) == 1


@pytest.mark.parametrize(("method", "target"), [("GET", "/auth/sessions"), ("POST", "/auth/sessions/end")])
async def test_they_need_a_session_and_our_own_script(
    signed_in: Browser, parts: WebParts, method: str, target: str
) -> None:
    body = {"others": True} if method == "POST" else b""
    stranger = parts.browser()
    assert (await stranger.send(method, target, *FETCH, body=body)).problem == (401, "sign_in_required")
    assert (await signed_in.send(method, target, *CROSS_SITE, body=body)).status == 403
    if method == "POST":
        assert (await signed_in.send(method, target, *FETCH, "content-type: text/plain")).status == 415
