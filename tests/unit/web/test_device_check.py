"""Which requests of a bound session are accepted: the table of `bff.web.device_check`, at each place that checks."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bff.session.device_binding import UNDER_WAY
from bff.session.keyring import new_key
from bff.telemetry import audit
from bff.telemetry.audit import AuditEvent
from bff.telemetry.audit_limit import RECORDED_EVERY
from bff.telemetry.metrics import REGISTRY
from bff.web.device_check import QUOTA_RETRY_AFTER, RETRY_AFTER
from tests.harness.asgi_call import Response
from tests.harness.audit_trail import Trail
from tests.harness.device import Device, bound
from tests.harness.raw_upstream import ok, raw_upstream
from tests.harness.web_parts import FETCH, Browser, WebParts, web_parts

SKIPPED = 'secure-session-skipped: unreachable;session_identifier="x"'


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[WebParts]:
    async with web_parts(tmp_path, device_bound="enforce") as parts:
        yield parts


@pytest.fixture
async def device(browser: Browser, parts: WebParts) -> Device:
    """Bound long ago, with a valid bound cookie."""
    device = await bound(browser)
    await parts.tasks.drain(60)
    parts.clock.now += UNDER_WAY
    return device


async def verified(browser: Browser, *lines: str, without: str = "") -> Response:
    return await browser.send("GET", "/auth/verify", *FETCH, *lines, without=without)


def outcome(response: Response) -> tuple[int, str | None]:
    if response.status == 200:
        return 200, None
    problem = json.loads(response.body)
    return response.status, problem.get("reason") or problem["code"]


def counts(name: str, reason: str = "") -> float:
    return REGISTRY.get_sample_value("bff_device_binding_total", {"outcome": name, "reason": reason}) or 0.0


async def test_enforced_a_bound_session_is_accepted_with_its_bound_cookie_only(
    device: Device, browser: Browser, parts: WebParts
) -> None:
    lapsed, skipped = counts("lapsed"), counts("skipped", "unreachable")
    assert outcome(await verified(browser)) == (200, None)
    assert outcome(await verified(browser, without="bound")) == (401, "device_binding_lost")
    assert counts("lapsed") == lapsed + 1
    pending = await verified(browser, SKIPPED, without="bound")
    assert outcome(pending) == (503, "device_binding_pending")
    assert pending.one("retry-after") == str(RETRY_AFTER)
    assert counts("skipped", "unreachable") == skipped + 1
    quota = await verified(browser, "secure-session-skipped: quota_exceeded", without="bound")
    assert quota.one("retry-after") == str(QUOTA_RETRY_AFTER)
    assert outcome(await verified(browser, "secure-session-skipped: \xff", without="bound"))[0] == 503
    assert outcome(await verified(browser)) == (200, None), "the browser came back with the cookie"
    assert len(await parts.sessions()) == 1


async def test_the_audit_trail_has_one_line_a_minute_of_a_browser_that_lost_its_key(
    device: Device, browser: Browser, parts: WebParts
) -> None:
    lapsed, trail = counts("lapsed"), Trail()
    audit.logger.addHandler(trail)
    try:
        for _ in range(3):
            await verified(browser, without="bound")
            await verified(browser, SKIPPED, without="bound")
        parts.clock.now += RECORDED_EVERY
        await verified(browser, without="bound")
    finally:
        audit.logger.removeHandler(trail)
    reasons = [line["reason"] for line in trail.of(AuditEvent.DEVICE_BINDING_MISSING)]
    assert reasons == ["lapsed", "unreachable", "lapsed"]
    assert counts("lapsed") == lapsed + 4, "every request is counted"


async def test_a_copy_of_all_cookies_works_until_the_bound_one_expires(
    device: Device, browser: Browser, parts: WebParts
) -> None:
    thief = parts.browser()
    thief.cookies = dict(browser.cookies)
    assert outcome(await verified(thief)) == (200, None)
    parts.clock.now += parts.settings.device_bound.lifetime - UNDER_WAY
    assert outcome(await verified(thief)) == (401, "device_binding_lost")
    assert outcome(await verified(thief, SKIPPED)) == (503, "device_binding_pending")
    assert (await device.refresh()).status == 200
    assert outcome(await verified(browser)) == (200, None)


async def test_the_bound_cookie_of_another_session_or_key_does_not_count(
    device: Device, browser: Browser, parts: WebParts
) -> None:
    other = await bound(parts.browser())
    browser.cookies["__Host-bff-bound"] = other.browser.cookies["__Host-bff-bound"]
    assert outcome(await verified(browser)) == (401, "device_binding_lost")
    for value in ("x", "A" * 119):
        browser.cookies["__Host-bff-bound"] = value
        assert outcome(await verified(browser)) == (401, "device_binding_lost")


async def test_a_bound_cookie_that_came_twice_does_not_count(device: Device, browser: Browser) -> None:
    twice = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    twice += f"; __Host-bff-bound={browser.cookies['__Host-bff-bound']}"
    assert outcome(await verified(browser, f"cookie: {twice}", without="__")) == (401, "device_binding_lost")


async def test_a_cookie_under_a_key_that_is_not_here_is_503(device: Device, browser: Browser, parts: WebParts) -> None:
    old, new = parts.settings.session.key_ring[0], new_key()
    parts.stores.ring.replace_keys([new, old])
    kept = browser.cookies["__Host-bff-bound"]
    await browser.session()
    await parts.tasks.drain(60)
    parts.stores.ring.replace_keys([new])
    browser.cookies["__Host-bff-bound"] = kept
    assert outcome(await verified(browser)) == (503, "device_binding_pending")


async def test_requests_under_way_are_accepted_and_a_binding_that_was_never_used_requires_nothing(
    browser: Browser, parts: WebParts
) -> None:
    await browser.sign_in()
    assert (await Device(browser).register()).status == 200
    parts.clock.now += 3000
    assert outcome(await verified(browser, without="bound")) == (200, None)
    parts.clock.now -= 3000
    assert outcome(await verified(browser)) == (200, None)
    await parts.tasks.drain(60)
    assert outcome(await verified(browser, without="bound")) == (200, None)
    parts.clock.now += UNDER_WAY
    assert outcome(await verified(browser, without="bound")) == (401, "device_binding_lost")


async def test_our_own_endpoints_require_the_cookie_except_for_the_sign_out(
    device: Device, browser: Browser, parts: WebParts
) -> None:
    without = {"without": "bound"}
    shown = await browser.fetch("GET", "/auth/session", **without)
    assert json.loads(shown.body) == {"authenticated": False, "reason": "device_binding_lost"}
    assert shown.all("set-cookie") == []
    assert (await browser.send("GET", "/auth/session", *FETCH, SKIPPED, **without)).status == 503
    for method, path in (("POST", "/auth/session/extend"), ("GET", "/auth/sessions"), ("GET", "/auth/session/events")):
        assert outcome(await browser.fetch(method, path, **without)) == (401, "device_binding_lost"), path
    assert (await browser.fetch("POST", "/auth/logout", **without)).status == 200
    assert await parts.sessions() == []


async def test_a_request_that_is_refused_does_not_keep_the_session_alive(
    device: Device, browser: Browser, parts: WebParts
) -> None:
    [session] = await parts.sessions()
    before = await parts.stores.sessions.get(session.key)
    parts.clock.now += 100
    assert outcome(await verified(browser, without="bound"))[0] == 401
    await parts.tasks.drain(60)
    after: Any = await parts.stores.sessions.get(session.key)
    assert after.last_seen_at == before.last_seen_at  # type: ignore[union-attr]


async def test_routes_that_require_a_binding_say_what_the_page_can_do(tmp_path: Path) -> None:
    async with raw_upstream(ok()) as upstream:
        routes = [
            {"prefix": "/api", "upstream": upstream.url},
            {"prefix": "/api/pay", "upstream": upstream.url, "device_bound": "required"},
        ]
        async with web_parts(tmp_path, device_bound="offer", routes=json.dumps(routes)) as parts:
            browser = parts.browser()
            await browser.sign_in()

            async def paid(*lines: str, without: str = "") -> tuple[int, str | None]:
                response = await browser.send("GET", "/api/pay", *FETCH, *lines, without=without)
                return response.status, json.loads(response.body).get("remedy") if response.status != 200 else None

            assert await paid() == (403, "register")
            device = Device(browser)
            assert (await device.register()).status == 200
            assert await paid() == (200, None)
            await parts.tasks.drain(60)
            assert await paid(without="bound") == (403, "sign_in"), "without the time for requests under way"
            assert await paid(SKIPPED, without="bound") == (403, "retry")
            parts.clock.now += 1000
            assert await paid() == (403, "sign_in")
            assert (await browser.send("GET", "/api", *FETCH, without="bound")).status == 200, "only offered"
            assert (await device.refresh()).status == 200
            assert await paid() == (200, None)
            names = {name for request in upstream.requests for name, _ in request.fields}
            assert not [name for name in names if "cookie" in name or "secure" in name]
