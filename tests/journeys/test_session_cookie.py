"""What a session cookie is worth over time: after its limits, after sign-out, twice, under older and removed keys."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from bff.components.timeouts import Timeouts
from bff.flows.refresh.timing import RefreshTimeouts
from bff.web.auth.session import REASON_SHOWN
from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.pages import problem, set_cookies
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.world import World, small_world

SIGNED_OUT = {"authenticated": False, "reason": None}


def ended(reason: str) -> dict[str, Any]:
    return {"authenticated": False, "reason": reason}


def kept_cookie(browser: Browser) -> str:
    return str(browser.cookie("bff-session"))


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.case("CK-012")
async def test_the_absolute_timeout_is_the_servers_and_is_explained_once(world: World) -> None:
    browser = await world.signed_in()
    cookie = kept_cookie(browser)
    for _ in range(12):
        world.advance(3500)  # of 3600
        assert (await browser.fetch("/api/x")).status_code == 200  # in use all the time
        await world.settled()
    world.advance(43200 - 12 * 3500)
    refused = await browser.fetch("/api/x")
    assert (refused.status_code, refused.json()["reason"]) == (401, "absolute_timeout")
    assert await browser.session() == ended("absolute_timeout")
    browser.plant("bff-session", cookie)  # whatever Max-Age a client believes in
    assert (await browser.fetch("/api/x")).status_code == 401
    world.advance(REASON_SHOWN + 1)
    assert await browser.session() == SIGNED_OUT


@pytest.mark.case("CK-013")
async def test_the_idle_timeout_is_moved_by_use_and_not_by_looking(world: World) -> None:
    browser = await world.signed_in()
    world.advance(1800)
    await browser.fetch("/api/x")
    await world.settled()
    world.advance(3000)
    for _ in range(3):  # a tab in the background asks who is signed in
        world.advance(180)  # 3540 of 3600 in the end: real time goes on beside ours
        assert (await browser.session())["authenticated"] is True
    world.advance(61)
    for _ in range(2):  # every tab learns it
        assert await browser.session() == ended("idle_timeout")
    world.advance(REASON_SHOWN + 1)
    assert await browser.session() == SIGNED_OUT
    assert (await browser.fetch("/api/x")).status_code == 401


async def test_a_session_says_when_it_will_end(world: World) -> None:
    browser = await world.signed_in()
    session = (await browser.session())["session"]
    assert 3500 < session["idle_ends_at"] - session["now"] <= 3600
    assert session["ends_at"] - session["signed_in_at"] == 43200
    world.advance(3000)
    await browser.fetch("/api/x")
    await world.settled()
    later = (await browser.session())["session"]
    assert 2999 <= later["idle_ends_at"] - session["idle_ends_at"] < 3100
    assert later["ends_at"] == session["ends_at"]


async def test_an_idle_session_that_the_api_ends_is_explained_by_the_session_endpoint(world: World) -> None:
    browser = await world.signed_in()
    world.advance(3601)
    refused = await browser.fetch("/api/x")
    assert problem(refused) == (401, "sign_in_required")
    assert refused.json()["reason"] == "idle_timeout"
    assert set_cookies(refused) == {}
    for _ in range(2):  # every tab learns it
        assert await browser.session() == ended("idle_timeout")
    world.advance(REASON_SHOWN + 1)
    assert await browser.session() == SIGNED_OUT
    await world.settled()
    assert world.revoked == ["revoked by the client"]


# --- after the end ---------------------------------------------------------------------------------------------------


@pytest.mark.case("CK-014", "CK-018")
async def test_a_cookie_kept_from_before_the_sign_out_opens_nothing(world: World) -> None:
    browser = await world.signed_in()
    cookie = kept_cookie(browser)
    answer = await browser.fetch("/auth/logout", "POST")
    assert answer.headers["clear-site-data"] == '"cache"'  # a page of the back button asks again, and finds nothing
    assert answer.headers["cache-control"] == "no-store"
    browser.plant("bff-session", cookie)
    assert (await browser.fetch("/api/x")).status_code == 401
    assert await browser.session() == ended("signed_out")
    browser.plant("bff-session", cookie)
    assert (await browser.fetch("/auth/logout", "POST")).json() == {"end_session_url": None}
    assert world.upstream.heard == []


@pytest.mark.case("CK-015")
async def test_a_sign_out_is_seen_by_the_next_request_on_every_replica(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world, world.replica() as replica:
            browser = await world.signed_in()
            cookie = kept_cookie(browser)
            assert (await browser.fetch(f"{replica}/api/x")).status_code == 200
            await browser.sign_out()
            browser.plant("bff-session", cookie)
            assert (await browser.fetch(f"{replica}/api/x")).status_code == 401
            assert (await browser.fetch(f"{replica}/auth/session")).json() == ended("signed_out")


@pytest.mark.case("CK-017")
async def test_a_renewal_that_ends_after_the_sign_out_brings_nothing_back(tmp_path: Path) -> None:
    async with small_world(tmp_path, rotation=RotationPolicy(access_token_lifetime=300)) as world:
        browser = await world.signed_in()
        cookie = kept_cookie(browser)
        world.advance(301)
        release = asyncio.Event()
        world.okta.control.fault("slow_answer", grant="refresh_token", release=release)
        call = asyncio.create_task(browser.fetch("/api/x"))
        await until(lambda: world.okta.control.refresh_requests == 1)
        await browser.sign_out()
        release.set()
        assert (await call).status_code == 401
        browser.plant("bff-session", cookie)
        assert (await browser.fetch("/api/x")).status_code == 401
        await world.settled()
        assert world.upstream.heard == []
        assert world.revoked == ["revoked by the client"]


@pytest.mark.parametrize("where", ["here", "at another replica"])
async def test_a_sign_out_answers_callers_that_wait_for_a_renewal_before_the_provider_does(
    tmp_path: Path, where: str
) -> None:
    timeouts = Timeouts(refresh=RefreshTimeouts(caller=600.0))
    patient = {"refresh_timeout": "60", "refresh_lease": "120", "refresh_grace": "60"}
    rotation = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=rotation, timeouts=timeouts, **patient) as world:
        browser = await world.signed_in()
        world.advance(301)
        release = asyncio.Event()
        world.okta.control.fault("slow_answer", grant="refresh_token", release=release)
        calls = [asyncio.create_task(browser.fetch(f"/api/{n}")) for n in range(5)]
        await until(lambda: world.okta.control.refresh_requests == 1)
        async with world.replica() as replica:
            url = {"here": "/auth/logout", "at another replica": f"{replica}/auth/logout"}[where]
            assert (await browser.fetch(url, "POST")).status_code == 200
            answers = await asyncio.gather(*calls)
        (refresh,) = world.bff.flows.sessions.refresh._flight._refresh_tasks.values()
        assert not refresh.done(), "the provider has not answered yet"
        told = [(answer.status_code, answer.json()["code"], answer.json()["reason"]) for answer in answers]
        assert told == [(401, "sign_in_required", "signed_out")] * 5
        assert world.upstream.heard == []
        release.set()


# --- where a cookie must not be --------------------------------------------------------------------------------------


@pytest.mark.case("CK-038")
async def test_no_error_sets_or_clears_the_session_cookie(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        browser = await world.signed_in()
        routes = json.loads(world.environ["BFF_ROUTES"])
        routes.append({"prefix": "/gone", "upstream": "http://127.0.0.1:9"})
        await world.restart(routes=json.dumps(routes))
        answers = [500, 502, 503, 504, 403, 404]
        world.upstream.answers = list(answers)
        statuses = [await browser.fetch("/api/x") for _ in answers]
        statuses += [await browser.fetch(path) for path in ("/gone/x", "/auth/nothing")]
        statuses.append(await browser.fetch("/api/x", "TRACE"))
        statuses.append(await browser.fetch("/api/x", headers={"x-csrf": "2"}))
        assert [each.status_code for each in statuses] == [*answers, 502, 404, 405, 403]
        assert all("set-cookie" not in each.headers for each in statuses)
        assert (await browser.session())["authenticated"] is True


@pytest.mark.case("CK-039")
async def test_what_may_be_cached_carries_no_cookie(tmp_path: Path) -> None:
    spa = tmp_path / "spa"
    spa.mkdir()
    (spa / "index.html").write_text("<!doctype html><title>app</title>")
    (spa / "app.js").write_text("export {}")
    short = RotationPolicy(access_token_lifetime=300)
    async with small_world(tmp_path, rotation=short, spa_dir=str(spa)) as world:
        browser = await world.signed_in()
        world.advance(299)
        for path in ("/", "/app.js", "/orders/7"):
            answer = await browser.navigate(path)
            assert answer.status_code == 200
            assert "set-cookie" not in answer.headers, path
        private = await browser.fetch("/auth/session")
        assert private.headers["cache-control"] == "no-store"


@pytest.mark.case("CK-042")
async def test_the_session_id_is_in_no_page_no_json_and_no_url(world: World) -> None:
    browser = await world.signed_in()
    cookie = kept_cookie(browser)
    await browser.session()
    await browser.fetch("/api/x")
    await browser.navigate("/nothing/here")
    out = await browser.sign_out()
    await browser.navigate(out["end_session_url"])
    for seen in browser.seen:
        assert cookie not in seen.text
        assert cookie not in str(seen.url)
        assert cookie not in seen.headers.get("location", "")
    assert all(cookie not in str(heard) for heard in world.upstream.heard)


@pytest.mark.case("CK-045")
async def test_the_way_back_from_the_provider_needs_no_strict_cookie(world: World) -> None:
    """This browser holds Strict back on the whole chain, as Firefox does; Chromium is driven in `browser/`."""
    browser = world.browser()
    arrived = await browser.sign_in(return_to="/orders")
    assert str(arrived.url) == f"{world.public_url}/orders"
    assert "bff-session" not in arrived.request.headers.get("cookie", "")
    assert (await browser.session())["authenticated"] is True
    again = await browser.navigate("/auth/login?return_to=/two", initiator=world.okta.base_url)
    assert str(again.url) == f"{world.public_url}/two"
    await world.settled()
    # The first session was found, and ended, by the companion cookie alone.
    assert world.revoked == ["revoked by the client", None]


# --- twice, and with HEAD --------------------------------------------------------------------------------------------


async def test_a_planted_second_cookie_is_refused_and_costs_nothing(world: World) -> None:
    browser, attacker = world.browser(), world.browser()
    await browser.sign_in()
    await attacker.sign_in("bob@example.com")
    mine, planted = kept_cookie(browser), kept_cookie(attacker)
    for line in (f"bff-session={mine}; bff-session={planted}", f"bff-session={planted}; bff-session={mine}"):
        headers = {"cookie": line, "x-csrf": "1"}
        for path in ("/auth/session", "/api/x"):
            refused = await browser.http.get(world.public_url + path, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
            assert set_cookies(refused) == {}
    assert world.upstream.heard == []
    assert (await browser.session())["user"]["email"] == "alice@example.com"


async def test_head_says_as_much_as_get_and_uses_nothing_up(world: World) -> None:
    browser = await world.signed_in()
    head = await browser.fetch("/auth/session", "HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 100
    await browser.sign_out()
    assert (await browser.fetch("/auth/session", "HEAD")).status_code == 200
    await browser.navigate("/auth/session", initiator="https://evil.example")  # a link from elsewhere neither
    # Nor an image or a script of a sister host, with which a Lax cookie goes.
    for site in ("same-site", "cross-site", "none"):
        await browser.fetch("/auth/session", headers={"sec-fetch-site": site, "sec-fetch-mode": "no-cors"})
    await browser.fetch("/auth/session", headers={"sec-purpose": "prefetch"})
    assert await browser.session() == ended("signed_out")
