"""Tokens bound to a key (RFC 9449): a whole sign-in against a provider and an API that both insist on proofs."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.api.server import ApiConfig, RunningApi, running_api
from demo.simulator.grants import RotationPolicy
from tests.harness.http_browser import Browser
from tests.harness.plain_http import plain_http
from tests.harness.streams import Page, echoed
from tests.harness.world import World, small_world

SHORT = RotationPolicy(access_token_lifetime=300)
BOUND = {"dpop_bound": True}


@asynccontextmanager
async def bound_world(
    directory: Path, nonce: str | None = None, okta: Mapping[str, Any] = BOUND, dpop: str = "on"
) -> AsyncIterator[tuple[World, RunningApi]]:
    """A provider and an API that both want proofs; the API can start only when the provider's address is known."""
    async with small_world(directory, rotation=SHORT, okta=okta, dpop=dpop) as world:
        api_config = ApiConfig(issuer=world.okta.issuer, dpop_nonce=nonce, clock=world.clock)
        async with running_api(api_config) as api:
            await route_to(world, api)
            yield world, api


async def route_to(world: World, api: RunningApi, **changes: str) -> None:
    routes = [{"prefix": "/api", "upstream": api.base_url, "websocket": True}]
    await world.restart(routes=json.dumps(routes), **changes)


async def test_a_person_signs_in_calls_the_api_and_is_renewed(tmp_path: Path) -> None:
    async with bound_world(tmp_path) as (world, api):
        browser = await world.signed_in()
        first = await browser.fetch("/api/echo?a=1")
        assert first.status_code == 200, first.text
        sent = dict(first.json()["headers"])
        assert sent["authorization"].startswith("DPoP ")
        before = await world.stored()
        assert before.dpop_key is not None
        world.advance(301)
        for method in ("GET", "POST", "DELETE"):
            assert (await browser.fetch("/api/echo/x", method)).status_code == 200
        after = await world.stored()
        assert after.rotation == before.rotation + 1
        assert after.dpop_key == before.dpop_key, "a renewal keeps the key"
        assert [seen.refused for seen in api.seen if seen.refused] == []
        await browser.sign_out()
        await world.settled()
        assert world.revoked == ["revoked by the client"]
        assert world.okta.control.violations == []


async def test_every_session_has_a_key_of_its_own(tmp_path: Path) -> None:
    async with bound_world(tmp_path) as (world, _):
        keys = set()
        for _ in range(2):
            browser = await world.signed_in()
            keys.add((await world.stored()).dpop_key)
            await browser.sign_out()
        assert len(keys) == 2


async def test_a_stolen_access_token_alone_is_of_no_use(tmp_path: Path) -> None:
    async with bound_world(tmp_path) as (world, api), plain_http() as thief:
        browser = await world.signed_in()
        token = (await world.stored()).tokens.access_token
        for scheme in ("Bearer", "DPoP"):
            answer = await thief.get(f"{api.base_url}/api/orders", headers={"authorization": f"{scheme} {token}"})
            assert answer.status_code == 401, scheme
        refused = await thief.post(
            f"{world.okta.issuer}/v1/token",
            data={"grant_type": "refresh_token", "refresh_token": (await world.stored()).tokens.refresh_token},
            auth=(world.environ["BFF_CLIENT_ID"], world.environ["BFF_CLIENT_SECRET"]),
        )
        assert refused.json()["error"] == "invalid_dpop_proof"
        assert (await browser.fetch("/api/orders")).status_code == 200, "and its owner notices nothing"


async def test_a_websocket_is_opened_with_a_proof_and_a_browsers_own_is_not_passed_on(tmp_path: Path) -> None:
    async with bound_world(tmp_path, nonce="api-1") as (world, _):
        browser = await world.signed_in()
        async with Page(world.public_url, browser).socket(world.public_url) as socket:
            assert await echoed(socket, "hello")
        assert (await browser.fetch("/api/orders", headers={"dpop": "forged"})).status_code == 200


@pytest.mark.parametrize("first", ["off", "on"])
async def test_a_session_keeps_the_kind_of_token_it_began_with(tmp_path: Path, first: str) -> None:
    """Turning the setting signs nobody out."""
    async with bound_world(tmp_path, okta={}, dpop=first) as (world, api):
        browser = await world.signed_in()
        assert await scheme_of(browser) == ("DPoP" if first == "on" else "Bearer")
        await route_to(world, api, dpop="on" if first == "off" else "off")
        world.advance(301)
        assert await scheme_of(browser) == ("DPoP" if first == "on" else "Bearer")


async def scheme_of(browser: Browser) -> str:
    answer = await browser.fetch("/api/echo")
    assert answer.status_code == 200, answer.text
    sent: dict[str, Any] = dict(answer.json()["headers"])
    return str(sent["authorization"]).partition(" ")[0]
