"""Journeys of device-bound sessions in Chromium 150: what a copy of the cookies is worth, and what ends no session."""

import json
from pathlib import Path

import pytest

from bff.session.keyring import new_key
from bff.session.session import EndReason
from bff.web.middleware.draining import Draining
from demo.simulator.people import PASSWORD
from tests.device_bound.scene import Scene, scene
from tests.harness.chromium import chromium
from tests.harness.device import REFRESH
from tests.harness.firefox import firefox
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.world import small_world
from tests.harness.world.app_server import application

pytestmark = pytest.mark.device_bound


async def test_a_copy_of_all_cookies_stops_working_and_the_person_goes_on(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        copy = await on.copy_cookies()
        assert (await copy.fetch("/api/x"))[0] == 200, "until the bound cookie expires"
        await on.expire(601)
        assert (await on.fetch("/api/x"))[0] == 200
        on.world.upstream.heard.clear()
        status, problem = await copy.fetch("/api/x")
        assert (status, problem["reason"]) == (401, "device_binding_lost")
        for value in ("unreachable", "quota_exceeded", "anything"):
            status, problem = await copy.fetch("/api/x", **{"secure-session-skipped": value})
            assert (status, problem["code"]) == (503, "device_binding_pending")
        assert (await copy.fetch("/auth/session"))[1] == {"authenticated": False, "reason": "device_binding_lost"}
        assert on.world.upstream.heard == []
        assert (await on.fetch("/api/x"))[0] == 200
        shown = (await on.fetch("/auth/sessions"))[1]["sessions"]
        assert [session["device_bound"] for session in shown] == [True]


async def test_a_copy_of_the_session_cookie_alone_is_refused_at_once_where_a_binding_is_required(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path, "offer", route={"device_bound": "required"}) as on:
        status, problem = await on.fetch("/api/x")
        assert (status, problem["code"], problem["remedy"]) == (403, "device_binding_required", "register")
        await on.bind()
        assert (await on.fetch("/api/x"))[0] == 200
        copy = await on.copy_cookies()
        copy.cookie = "; ".join(pair for pair in copy.cookie.split("; ") if not pair.startswith("bff-bound="))
        status, problem = await copy.fetch("/api/x")
        assert (status, problem["remedy"]) == (403, "sign_in")


async def down_for_ten_minutes(on: Scene) -> None:
    on.front.answers[REFRESH] = 503
    await on.expire(601)
    for _ in range(10):
        on.world.advance(60)
        calls = "() => Promise.all([...Array(20).keys()].map((n) => fetch(`/api/${n}`, {headers: {'X-CSRF': '1'}})"
        statuses = await on.page.evaluate(calls + ".then((answer) => answer.status)))")
        assert statuses == [503] * 20
    assert on.world.upstream.heard == []
    assert {seen.skipped for seen in on.api} <= {"server_error", "unreachable", "quota_exceeded"}
    on.front.answers.clear()


async def test_a_refresh_route_that_is_down_signs_out_and_unbinds_nobody(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        await down_for_ten_minutes(on)

        async def answered() -> bool:
            return (await on.fetch("/api/x"))[0] == 200

        await until(answered)
        assert on.api[-1].is_bound
        assert len(on.front.registrations) == 1


async def test_restarts_and_a_roll_of_the_key_ring_are_not_noticed(tmp_path: Path) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        old, new = on.world.bff.runtime.settings.session.key_ring[0], new_key()
        for keys in ([old, new], [new, old], [new]):
            await on.world.restart(session_keys=on.world.session_keys(*keys))
            on.front.replace(on.world.bff.public)
            on.world.bff.public = Draining(on.front)
            await on.expire(601)
            assert (await on.fetch("/api/x"))[0] == 200
            assert (await on.fetch("/auth/session"))[1]["device_bound"] is True
            await on.world.settled()
        assert {seen.status for seen in on.front.refreshes} == {200}
        assert len(on.front.registrations) == 1


async def test_replicas_take_turns(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with scene(tmp_path, store=redis.url) as on:
            other = application(on.world.environ, on.world.clock)
            on.front.replace(*on.front.apps, other.public)
            await on.establish()
            for _ in range(3):
                await on.expire(601)
                assert (await on.fetch("/api/x"))[0] == 200
            assert {seen.status for seen in (*on.front.refreshes, *on.front.registrations)} == {200}
            await other.stores.sessions.close()


@pytest.mark.parametrize("reason", [EndReason.OPERATOR, EndReason.BACK_CHANNEL, EndReason.IDLE_TIMEOUT])
async def test_every_end_of_a_session_ends_its_binding(tmp_path: Path, reason: EndReason) -> None:
    async with scene(tmp_path) as on:
        await on.establish()
        if reason is EndReason.IDLE_TIMEOUT:
            on.world.advance(7200)
        else:
            session = await on.world.stored()
            await on.world.bff.flows.sessions.end_session.end(session.key, reason)
        await on.expire()
        status, problem = await on.fetch("/api/x")
        assert (status, problem["reason"]) == (401, reason.value)
        assert [seen.status for seen in on.front.refreshes] == [401]
        await on.fetch("/api/x")
        assert len(on.front.refreshes) == 1


async def test_a_current_chromium_and_firefox_notice_nothing(tmp_path: Path) -> None:
    """Neither has a key to register: their sessions are as they were, in the strictest mode."""
    spa = tmp_path / "spa"
    spa.mkdir()
    (spa / "index.html").write_text("<!doctype html><title>page</title>")
    script = """
      const seen = [];
      for (const path of ["/auth/session", "/auth/session", "/api/x"]) {
        const answer = await fetch(path, {headers: {"X-CSRF": "1"}});
        seen.push([answer.status, (await answer.json()).device_bound ?? null]);
      }
      return JSON.stringify(seen);"""
    unchanged = [[200, False], [200, False], [200, None]]
    async with small_world(tmp_path, device_bound="enforce", spa_dir=str(spa)) as world:
        login = f"{world.public_url}/auth/login?return_to=/orders"
        async with chromium() as browser:
            page = await browser.new_page()
            await page.goto(login)
            await page.get_by_label("Username").fill("alice@example.com")
            await page.get_by_label("Password").fill(PASSWORD)
            await page.get_by_role("button", name="Sign in").click()
            await page.wait_for_url(f"{world.public_url}/orders")
            world.advance(60)
            assert json.loads(await page.evaluate(f"async () => {{{script}}}")) == unchanged
        async with firefox(tmp_path / "firefox") as window:
            await window.open(login)
            await window.fill_in("input[name=username]", "alice@example.com")
            await window.fill_in("input[name=password]", PASSWORD)
            await window.click("button[type=submit]")
            await window.until(lambda url: url.startswith(f"{world.public_url}/orders"))
            assert json.loads(await window.evaluate(f"return (async () => {{{script}}})();")) == unchanged
        assert all(s.device_binding is None for s in await world.bff.stores.sessions.find("sub", world.sub()))
