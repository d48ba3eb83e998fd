"""Which token each route's upstream gets, and what happens where there is none."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.flows.api_tokens.api_access import ApiAccess
from bff.flows.api_tokens.flow import ApiTokens
from bff.oidc.token import Denied, Granted, NoAnswer, TokenResponse
from tests.harness.raw_http import HttpServer, Reader, Request, Writer
from tests.harness.raw_upstream import raw_upstream
from tests.harness.web_parts import FETCH, Browser, WebParts, web_parts

ROUTES = {
    "/user": "user",
    "/orders": {"exchange": {"audience": "orders"}},
    "/billing": {"exchange": {"audience": "billing", "scope": "pay"}},
    "/stock": {"resource": "https://stock.example.com"},
    "/reports": {"client_credentials": {"scope": "reports"}},
}


class World:
    def __init__(self, upstream: HttpServer, parts: WebParts, rejected: set[str]) -> None:
        self.upstream, self.parts, self.rejected = upstream, parts, rejected
        self.browser: Browser = parts.browser()

    async def tokens(self, path: str) -> list[str | None]:
        """The `Authorization` headers that the upstream saw for one request."""
        before = len(self.upstream.requests)
        await self.browser.send("GET", path, *FETCH, "authorization: Bearer forged")
        return [request.one("authorization") for request in self.upstream.requests[before:]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    rejected = set[str]()

    async def respond(request: Request, reader: Reader, writer: Writer) -> bool:
        status = "401 Unauthorized" if request.one("authorization") in rejected else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        return True

    async with raw_upstream(respond) as upstream:
        routes = [{"prefix": prefix, "upstream": upstream.url, "token": token} for prefix, token in ROUTES.items()]
        async with web_parts(tmp_path, routes=json.dumps(routes)) as parts:
            yield World(upstream, parts, rejected)


async def test_each_route_has_its_own_token(world: World) -> None:
    asked = await world.browser.begin()
    assert asked["resource"] == "https://stock.example.com"
    await world.browser.finish(asked)
    expected = {
        "/user": "access-canary-1",
        "/orders": "for-orders-1",
        "/billing": "for-billing-2",
        "/stock": "access-canary-2",
        "/reports": "own-3",
    }
    for _ in range(2):
        for path, token in expected.items():
            assert await world.tokens(f"{path}/1") == [f"Bearer {token}"]
    (session,) = await world.parts.sessions()
    assert session.tokens.refresh_token == "refresh-canary-2"
    assert isinstance(world.parts.flows.api_tokens, ApiTokens)


async def test_nothing_is_requested_without_a_session(world: World) -> None:
    for path in ROUTES:
        assert (await world.browser.fetch("GET", f"{path}/1")).problem == (401, "sign_in_required")
    assert world.upstream.requests == []


async def test_a_rejected_token_is_renewed_alone_and_the_request_repeated(world: World) -> None:
    await world.browser.sign_in()
    for path in ROUTES:
        await world.tokens(path)
    world.parts.clock.now += 40
    world.rejected.add("Bearer for-orders-1")
    assert await world.tokens("/orders") == ["Bearer for-orders-1", "Bearer for-orders-4"]
    assert await world.tokens("/orders") == ["Bearer for-orders-4"]
    assert await world.tokens("/billing") == ["Bearer for-billing-2"]
    assert await world.tokens("/user") == ["Bearer access-canary-1"]
    world.rejected.add("Bearer for-orders-4")  # a new one: it is rejected for another reason
    assert await world.tokens("/orders") == ["Bearer for-orders-4"]


async def test_a_refusal_is_an_error_of_its_route(world: World) -> None:
    await world.browser.sign_in()
    answers = {
        Denied(400, "invalid_target", "secret words"): (502, "api_token_refused"),
        Denied(403, "access_denied"): (403, "api_token_denied"),
        NoAnswer(True): (503, "provider_unavailable"),
    }
    for answer, problem in answers.items():
        world.parts.provider.exchange_answers = [answer]
        refused = await world.browser.fetch("GET", "/orders/1")
        assert refused.problem == problem
        assert b"secret words" not in refused.body
        assert (refused.one("retry-after") is not None) == (problem[0] == 503)
        assert await world.tokens("/user") == ["Bearer access-canary-1"]
        world.parts.clock.now += 40
    assert (await world.browser.fetch("GET", "/auth/session")).status == 200
    assert len(await world.tokens("/orders")) == 1


async def test_a_token_that_cannot_be_used_is_refused(world: World) -> None:
    await world.browser.sign_in()
    world.parts.provider.exchange_answers = [Granted(TokenResponse(None, 60, "refresh", problem="it is none"))]
    assert (await world.browser.fetch("GET", "/orders/1")).problem == (502, "api_token_refused")
    assert "secret" not in repr(ApiAccess("secret", "secret"))
