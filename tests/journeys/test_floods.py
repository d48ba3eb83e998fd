"""Too much of everything: requests, cookies, parameters, hang-ups, sessions due at once, somebody else's outage."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from demo.simulator.grants import RotationPolicy
from tests.harness.crowd import crowd
from tests.harness.http_browser import FETCH, NAVIGATION, Browser
from tests.harness.patience import PATIENT
from tests.harness.plain_http import plain_http
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.harness.world import Upstream, World, listening, serving, small_world

SHORT = RotationPolicy(access_token_lifetime=300)
EXPIRED = 301  # seconds after sign-in


@pytest.fixture
async def short(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path, rotation=SHORT) as world:
        yield world


def rows(world: World) -> dict[str, int]:
    """What the store holds, table by table."""
    with sqlite3.connect(world.environ["BFF_STORE"].removeprefix("sqlite:///")) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counted = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}
    database.close()
    return counted


def calling(browser: Browser) -> dict[str, str]:
    """The headers of a call of the page in `browser`."""
    return {**FETCH, "x-csrf": "1", "cookie": f"bff-session={browser.cookie('bff-session')}"}


@pytest.mark.case("DS-001", "DS-003")
async def test_sign_ins_that_nobody_finishes_and_answers_that_nobody_asked_for_leave_nothing_behind(
    world: World,
) -> None:
    browser = await world.signed_in()
    before, asked = rows(world), len(world.okta.control.events())
    forged = [f"/authorization-code/callback?code=x&state={number:073d}" for number in range(60)]
    async with crowd(world) as client:
        for paths, expected in ((["/auth/login"] * 60, 303), (forged, 400)):
            answers = await asyncio.gather(*(client.get(path, headers=NAVIGATION) for path in paths))
            assert expected in {answer.status_code for answer in answers} <= {expected, 429}
    assert rows(world) == before
    assert len(world.okta.control.events()) == asked, "the provider hears of a sign-in from the browser, never from us"
    assert (await browser.fetch("/api/x")).status_code == 200


@pytest.mark.case("DS-007")
async def test_a_cookie_that_we_did_not_seal_costs_the_store_nothing(tmp_path: Path) -> None:
    with one_server(tmp_path / "redis") as redis:
        async with small_world(tmp_path, store=redis.url) as world, crowd(world) as client:
            real = str((await world.signed_in()).cookie("bff-session"))
            redis.stop()

            async def call(cookie: str) -> int:
                headers = {**FETCH, "x-csrf": "1", "cookie": f"bff-session={cookie}"}
                return (await client.get("/api/x", headers=headers)).status_code

            # While the store is away, a look-up would be a 503.
            garbage = ["A" * 4000, real[:-1] + ("A" if real[-1] != "A" else "B"), real + "A", "A" * len(real), "x"]
            assert {await call(cookie) for cookie in garbage} == {401}
            assert await call(real) == 503


@pytest.mark.case("DS-015")
async def test_an_upstream_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    hanging, answering = Upstream(), Upstream()
    answering.may_answer.set()
    with listening() as slow, listening() as quick:
        prefixes = {"/slow": slow, "/api": quick}
        routes = [
            {"prefix": prefix, "upstream": f"http://127.0.0.1:{bound.getsockname()[1]}"}
            for prefix, bound in prefixes.items()
        ]
        async with (
            serving(hanging, slow),
            serving(answering, quick),
            small_world(tmp_path, routes=json.dumps(routes)) as world,
            plain_http(timeout=120, limits=httpx.Limits(max_connections=None)) as client,
        ):
            browser = await world.signed_in()
            call = (f"{world.public_url}/slow/slow", calling(browser))
            calls = [asyncio.create_task(client.get(call[0], headers=call[1])) for _ in range(110)]
            await until(lambda: len(hanging.heard) == len(calls))
            assert (await browser.fetch("/api/slow")).status_code == 200
            another = await world.signed_in("bob@example.com")
            assert (await another.fetch("/api/slow")).status_code == 200
            hanging.may_answer.set()
            assert {answer.status_code for answer in await asyncio.gather(*calls)} == {200}


@pytest.mark.case("DS-016")
async def test_a_store_that_waits_for_a_lock_holds_up_nobody_who_does_not_need_it(tmp_path: Path) -> None:
    async with small_world(tmp_path, timeouts=PATIENT) as world:
        browser, stranger = world.browser(), world.browser()
        page = await browser.navigate("/auth/login")
        with sqlite3.connect(world.environ["BFF_STORE"].removeprefix("sqlite:///"), isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            before = len(world.okta.control.events())
            signing_in = asyncio.create_task(browser.fill_in(page))
            await until(lambda: len(world.okta.control.events()) > before)
            for _ in range(3):
                assert (await stranger.session())["authenticated"] is False
                assert (await stranger.fetch("/api/x")).status_code == 401
            assert not signing_in.done()
            other.execute("COMMIT")
        other.close()
        await signing_in
        assert (await browser.session())["authenticated"]


@pytest.mark.case("DS-023", "DS-024")
async def test_nothing_of_ours_is_compressed_whatever_is_offered(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>" + "a" * 10_000)
    async with small_world(tmp_path, spa_dir=str(tmp_path)) as world:
        browser = await world.signed_in()
        codings = "gzip, br;q=1, " + ", ".join(f"x-{number};q=0.1" for number in range(2000))
        for path in ("/auth/session?reflect=aaaa", "/", "/api/nothing", "/auth/nothing"):
            answer = await browser.fetch(path, headers={"accept-encoding": codings})
            assert not {"content-encoding", "transfer-encoding"} & answer.headers.keys(), path
        endless = ", ".join(f"x-{number}" for number in range(10_000))
        assert (await browser.fetch("/", headers={"accept-encoding": endless})).status_code in (400, 431)


@pytest.mark.case("DS-025")
async def test_callers_that_hang_up_during_a_refresh_cost_the_others_nothing(short: World) -> None:
    browser = await short.signed_in()
    short.advance(EXPIRED)
    release = asyncio.Event()
    short.okta.control.fault("slow", grant="refresh_token", release=release)
    async with plain_http(base_url=short.public_url) as client:
        calls = [asyncio.create_task(client.get("/api/x", headers=calling(browser))) for _ in range(20)]
        await until(lambda: short.okta.control.refresh_requests == 1)
        for call in calls[::2]:
            call.cancel()
        for call in calls[::2]:
            with suppress(asyncio.CancelledError):
                await call
        release.set()
        answers = await asyncio.gather(*calls[1::2])
    assert {answer.status_code for answer in answers} == {200}
    assert short.okta.control.refresh_requests == 1
    assert len(set(short.upstream.tokens)) == 1
