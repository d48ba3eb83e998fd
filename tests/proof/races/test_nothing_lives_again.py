"""Each way to end a session, during a refresh or a sign-in, on both stores; `make proof` runs RACES of each pair."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import pytest

from tests.harness.asgi_call import Response
from tests.harness.redis_servers import one_server
from tests.harness.waiting import until
from tests.proof.races.provider import Person
from tests.proof.races.world import World, running_world

Order = Literal["logout", "back-channel", "universal"]
ORDERS: list[Order] = ["logout", "back-channel", "universal"]
REASONS = {"logout": "signed_out", "back-channel": "back_channel", "universal": "universal_logout"}
AT_ONCE = 60
RACES = [60, pytest.param(int(os.environ.get("RACES", "10000")), marks=pytest.mark.long)]


@pytest.fixture(params=["sqlite", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'bff.db'}"
    else:
        with one_server(tmp_path / "redis") as server:
            yield server.url


def batches(races: int) -> list[int]:
    return [min(AT_ONCE, races - done) for done in range(0, races, AT_ONCE)]


async def end(world: World, order: Order, person: Person, sid: str, jar: dict[str, str]) -> Response:
    await world.some_time()
    match order:
        case "logout":
            return await world.sign_out(jar)
        case "back-channel":
            return await world.back_channel(**({"sub": person.sub} if person.number % 2 else {"sid": sid}))
        case "universal":
            return await world.universal(person)


@pytest.mark.case("RF-051")
@pytest.mark.parametrize("races", RACES)
@pytest.mark.parametrize("order", ORDERS)
async def test_against_a_refresh(store: str, order: Order, races: int) -> None:
    async with running_world(store, races, slow=0.03) as world:

        async def race(person: Person, jar: dict[str, str]) -> None:
            called, ended = await asyncio.gather(
                world.call(jar), end(world, order, person, f"sid-{person.number}", jar)
            )
            assert called.status in (200, 401), called.body
            assert ended.status in (200, 204), ended.body
            for app in world.apps:
                answer = await world.call(jar, app)
                assert (answer.status, json.loads(answer.body)["reason"]) == (401, REASONS[order])

        for batch in batches(races):
            people = [world.person() for _ in range(batch)]
            world.provider.lifetime = 1
            jars = await asyncio.gather(*(world.signed_in(person, f"sid-{person.number}") for person in people))
            # What is renewed lives on: on a busy machine it would run out before its caller sees it, and again.
            world.provider.lifetime = 3600
            expired_at = time.monotonic() + 1
            await until(lambda at=expired_at: time.monotonic() > at)  # type: ignore[misc]
            await asyncio.gather(*(race(person, jar) for person, jar in zip(people, jars, strict=True)))
            await world.settled()
            assert world.provider.alive() == [], "a refresh token outlived its session"
        assert world.provider.families.alarms == []
        refreshed = sum(family.rotation_count > 0 for family in world.provider.families.families())
        assert races * 0.1 < refreshed, "most of these were no races"


@pytest.mark.parametrize("races", RACES)
@pytest.mark.parametrize("order", ["back-channel", "universal"])
async def test_against_a_sign_in(store: str, order: Order, races: int) -> None:
    async with running_world(store, races, slow=0.015) as world:
        overtaken = 0

        async def race(person: Person) -> None:
            nonlocal overtaken
            jar: dict[str, str] = {}
            sid = f"sid-{person.number}"
            target = await world.answer_to(person, jar, sid)

            arrived, ended = await asyncio.gather(world.arrive(target, jar), end(world, order, person, sid, {}))
            assert ended.status in (200, 204, 404)
            assert arrived.status == 303
            overtaken += arrived.one("location") != "/home"
            for app in world.apps:
                answer = await world.call(jar, app)
                assert answer.status == 401
                assert json.loads(answer.body).get("reason") in (None, REASONS[order])
            assert await world.apps[0].stores.sessions.find("sub", person.sub) == []

        for batch in batches(races):
            await asyncio.gather(*(race(world.person()) for _ in range(batch)))
            await world.settled()
            assert world.provider.alive() == []
        assert races * 0.1 < overtaken, "most of these were no races"


@pytest.mark.parametrize("races", RACES)
async def test_a_sign_out_against_a_sign_in_of_the_same_browser(store: str, races: int) -> None:
    """The session that was signed out stays dead; the one that was begun is whole, and the only one."""
    async with running_world(store, races, slow=0.015) as world:

        async def race(person: Person) -> None:
            jar = await world.signed_in(person, f"sid-{person.number}-a")
            first = dict(jar)
            target = await world.answer_to(person, jar, f"sid-{person.number}-b")

            arrived, ended = await asyncio.gather(world.arrive(target, jar), end(world, "logout", person, "", first))
            assert (ended.status, arrived.one("location")) == (200, "/home")
            for app in world.apps:
                assert (await world.call(first, app)).status == 401
                assert (await world.call(jar, app)).status == 200
            assert len(await world.apps[0].stores.sessions.find("sub", person.sub)) == 1

        for batch in batches(races):
            before = len(world.provider.alive())
            await asyncio.gather(*(race(world.person()) for _ in range(batch)))
            await world.settled()
            assert len(world.provider.alive()) - before == batch
