"""What a session cookie is worth over time: after its limits, after sign-out, twice, under older and removed keys."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bff.components.timeouts import Timeouts
from bff.flows.refresh.timing import RefreshTimeouts
from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.world import World, small_world


def ended(reason: str) -> dict[str, Any]:
    return {"authenticated": False, "reason": reason}


def kept_cookie(browser: Browser) -> str:
    return str(browser.cookie("bff-session"))


# --- after the end ---------------------------------------------------------------------------------------------------


@pytest.mark.case("CK-015", "CK-014")
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
    # The first session was found, and ended, by the companion cookie alone.
    assert await world.stored() is not None  # the only one
