"""A purpose that is flooded, or whose requests hang, delays no other."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bff.config.provider import TransportSettings
from bff.oidc.token import Granted, Revoked
from bff.provider.client import HttpProvider
from bff.provider.connections import REVOCATIONS, SIGN_INS, ProviderConnections
from bff.provider.response import HttpResponse
from tests.harness.provider_server import (
    GOOD_TOKENS,
    WITHIN,
    answer_json,
    client_of,
    provider_server,
    stall,
)
from tests.harness.raw_http import Request, Writer
from tests.harness.waiting import until


async def sign_in(provider: HttpProvider) -> Any:
    return await provider.exchange_code("c", redirect_uri="https://a", code_verifier="v")


async def refresh(provider: HttpProvider) -> Any:
    return await provider.refresh("rt1", timeout=WITHIN)


async def revoke(provider: HttpProvider) -> Any:
    return await provider.revoke("rt1", "refresh_token", within=WITHIN)


Call = Callable[[HttpProvider], Awaitable[Any]]


@pytest.mark.parametrize(
    ("hangs", "path", "at_once"),
    [(sign_in, "/token", SIGN_INS), (revoke, "/revoke", REVOCATIONS)],
)
async def test_a_flood_of_one_purpose_delays_no_other(hangs: Call, path: str, at_once: int) -> None:
    async def token(request: Request, writer: Writer) -> None:
        stalls = hangs is sign_in and "code" in request.form
        await (stall if stalls else answer_json(GOOD_TOKENS))(request, writer)

    routes = {"token": token, **({"revoke": stall} if hangs is revoke else {})}
    async with provider_server(**routes) as server, client_of(server) as provider:
        await provider.metadata()
        flood = [asyncio.ensure_future(hangs(provider)) for _ in range(2 * at_once)]
        await until(lambda: server.count(path) == at_once)
        if hangs is not sign_in:
            assert isinstance(await sign_in(provider), Granted)
        assert isinstance(await refresh(provider), Granted)
        if hangs is not revoke:
            assert await revoke(provider) == Revoked()
        else:
            assert server.count(path) == at_once
        assert not any(task.done() for task in flood)
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)


async def test_as_many_refreshes_as_configured_run_concurrently() -> None:
    async with provider_server(token=stall) as server, client_of(server, refreshes=60) as provider:
        waiting = [asyncio.ensure_future(refresh(provider)) for _ in range(60)]
        await until(lambda: server.count("/token") == 60)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_refresh_goes_through_the_configured_proxy() -> None:
    async with provider_server() as server, provider_server() as proxy:
        proxy.routes[f"{server.issuer}/token"] = answer_json(GOOD_TOKENS)  # as a proxy is asked
        connections = ProviderConnections(TransportSettings(provider_proxy=proxy.issuer, provider_timeout=WITHIN))
        http = connections.of("refresh")
        outcome = await http.send("POST", f"{server.issuer}/token", within=WITHIN, limit=1000, form={"a": "b"})
        assert isinstance(outcome, HttpResponse)
        assert (server.connections, proxy.count(f"{server.issuer}/token")) == (0, 1)
        await connections.close()
