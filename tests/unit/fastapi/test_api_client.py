"""The client of a host's routes for an upstream: what a forwarded request has, and no cookies."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bff.errors import BffError, InvalidRequest
from bff.fastapi.api_client import api_client
from bff.fastapi.upstream_transport import own_scope
from bff.proxy.own_request import OWN_REQUEST, OwnRequest, received_headers
from tests.harness.hosted import Hosted, host_settings, hosted
from tests.harness.routes import a_route
from tests.harness.world import Upstream, listening, serving

Orders = Annotated[httpx.AsyncClient, Depends(api_client("orders"))]
Open = Annotated[httpx.AsyncClient, Depends(api_client("open"))]
PIECE = b"x" * 65536


class Api(Upstream):
    """Also streams /large, and breaks off /broken."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith(("/large", "/broken")):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6553600")]})
            for _ in range(100):
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
                if scope["path"].endswith("/broken"):
                    raise ConnectionError
            return
        await super().__call__(scope, receive, send)


def an_app() -> FastAPI:
    app = FastAPI()

    @app.get("/screen")
    async def screen(orders: Orders, public: Open) -> list[Any]:
        answers = await asyncio.gather(orders.get("/a", params={"x": "1"}), public.get("/b"))
        return [answer.json() for answer in answers]

    @app.post("/send")
    async def send(orders: Orders, request: Request) -> dict[str, Any]:
        answer = await orders.post("/send", content=request.stream())
        return {"status": answer.status_code, **answer.json()}

    @app.get("/twice")
    async def twice(orders: Orders) -> list[Any]:
        return [
            (answer.status_code, dict(answer.cookies), "location" in answer.headers)
            for answer in [await orders.get("/a"), await orders.get("/a")]
        ]

    @app.get("/large")
    async def large(orders: Orders) -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            async with orders.stream("GET", "/large") as answer:
                async for piece in answer.aiter_bytes():
                    yield piece

        return StreamingResponse(pieces())

    @app.get("/first")
    async def first(orders: Orders, path: str) -> int:
        async with orders.stream("GET", path) as answer:
            async for piece in answer.aiter_bytes():
                return len(piece)
        return 0

    @app.get("/unread")
    async def unread(orders: Orders) -> int:
        return (await orders.send(orders.build_request("GET", "/large"), stream=True)).status_code

    @app.get("/any")
    async def any_path(orders: Orders, path: str, timeout: float | None = None) -> str:
        return (await orders.get(path, timeout=timeout)).text

    return app


class World:
    def __init__(self, parts: Hosted, api: Api) -> None:
        self.parts, self.api = parts, api


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    api = Api()
    with listening() as bound:
        upstream = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        routes = [
            {"prefix": "/api/orders", "upstream": upstream, "identity_headers": {"X-User-Sub": "sub"}},
            {"prefix": "/open", "upstream": upstream, "token": "none"},
        ]
        async with (
            serving(api, bound),
            hosted(an_app(), host_settings(tmp_path, routes=json.dumps(routes), idle_timeout="7200")) as parts,
        ):
            yield World(parts, api)


async def test_two_upstreams_are_asked_at_once_each_with_its_own_credentials(world: World) -> None:
    browser = await world.parts.signed_in()
    response = await browser.fetch("GET", "/screen")
    assert [answer["path"] for answer in json.loads(response.body)] == ["/v1/a", "/v1/b"]
    assert response.one("cache-control") == "no-store"
    by_path = {heard.path: heard.headers for heard in world.api.heard}
    orders, public = by_path["/v1/a"], by_path["/v1/b"]
    assert orders["authorization"] == "Bearer access-canary-1"
    assert orders["x-user-sub"] == "00u1"
    assert "authorization" not in public
    assert orders["traceparent"].split("-")[1] == public["traceparent"].split("-")[1]
    assert not {"cookie", "x-csrf", "sec-fetch-site"} & (orders.keys() | public.keys())
    assert orders["x-forwarded-host"] == "app.example.com"


async def test_a_token_that_an_upstream_rejects_is_refreshed_and_the_request_sent_once_more(world: World) -> None:
    browser = await world.parts.signed_in()
    world.parts.clock.now += 120  # a token is not refreshed again at once
    world.api.answers = [401]
    assert (await browser.fetch("GET", "/any?path=/a")).status == 200
    assert world.api.tokens == ["access-canary-1", "access-canary-2"]
    world.api.heard.clear()
    world.api.answers = [401]
    sent = await browser.fetch("POST", "/send", body=b"order")
    assert json.loads(sent.body)["status"] == 401, "a request with a body is not repeated"
    assert [heard.body for heard in world.api.heard] == [b"order"]


async def test_a_token_that_is_due_is_refreshed_before(world: World) -> None:
    browser = await world.parts.signed_in()
    for _ in range(3):
        world.parts.clock.now += 1300
        assert (await browser.fetch("GET", "/any?path=/a")).status == 200
    assert world.api.tokens == ["access-canary-1", "access-canary-1", "access-canary-2"]


async def test_no_cookie_is_kept_and_no_redirect_followed(world: World) -> None:
    world.api.fields = [(b"set-cookie", b"upstream=1; Path=/"), (b"location", b"/v1/elsewhere")]
    world.api.answers = [302, 302]
    response = await (await world.parts.signed_in()).fetch("GET", "/twice")
    assert json.loads(response.body) == [[302, {}, True], [302, {}, True]]
    assert [(heard.path, "cookie" in heard.headers) for heard in world.api.heard] == [("/v1/a", False)] * 2


async def test_without_a_session_the_route_is_refused_and_nothing_is_sent(world: World) -> None:
    assert (await world.parts.browser().fetch("GET", "/screen")).problem == (401, "sign_in_required")
    assert [heard.path for heard in world.api.heard if heard.path != "/v1/b"] == []


@pytest.mark.parametrize(
    "path",
    ["/../admin", "../admin", "/%2e%2e/admin", "/..%2fadmin", "https://evil.example/v1/a", "//evil.example/v1/a"],
)
async def test_a_path_that_leaves_the_upstreams_own_is_refused(world: World, path: str) -> None:
    browser = await world.parts.signed_in()
    response = await browser.fetch("GET", f"/any?path={path.replace('%', '%25')}")
    assert response.problem == (400, "invalid_request")
    assert world.api.heard == []


async def test_a_large_response_is_streamed_and_one_that_is_left_is_aborted(world: World) -> None:
    browser = await world.parts.signed_in()
    assert len((await browser.fetch("GET", "/large")).body) == 100 * len(PIECE)
    assert int((await browser.fetch("GET", "/first?path=/large")).body) > 0
    broken = await browser.fetch("GET", "/any?path=/broken")
    assert broken.problem == (502, "upstream_unreachable")


async def test_an_error_says_whether_the_request_has_reached_the_upstream(world: World) -> None:
    guest = await world.parts.browser().fetch("GET", "/any?path=/a")
    assert (guest.problem, guest.one("x-bff-forwarded")) == ((401, "sign_in_required"), "no")
    broken = await (await world.parts.signed_in()).fetch("GET", "/any?path=/broken")
    assert (broken.problem, broken.one("x-bff-forwarded")) == ((502, "upstream_unreachable"), "maybe")


async def test_a_response_that_is_neither_read_nor_closed_ends_with_the_client(world: World) -> None:
    assert (await (await world.parts.signed_in()).fetch("GET", "/unread")).body == b"200"
    assert [task for task in asyncio.all_tasks() if "HostRequests.call" in repr(task.get_coro())] == []


async def test_a_timeout_of_the_caller_ends_the_request(world: World) -> None:
    browser = await world.parts.signed_in()
    response = await browser.fetch("GET", "/any?path=/slow&timeout=0.01")
    assert response.problem == (504, "upstream_timeout")


def test_a_request_has_its_own_target_and_headers_and_the_clients_address() -> None:
    asked = {"client": ("192.0.2.1", 1), "headers": [(b"x-forwarded-for", b"192.0.2.9"), (b"accept", b"text/html")]}
    request = httpx.Request("GET", "https://api.example/v1/a?x=1", headers={"Accept": "application/json", "Te": "x"})
    scope = own_scope(a_route(upstream="https://api.example/v1"), asked, request)
    own: OwnRequest = scope[OWN_REQUEST]
    assert own.target == b"/v1/a?x=1"
    assert scope["headers"] == [(b"x-forwarded-for", b"192.0.2.9")]
    assert own.beside([(b"accept", b"ours")]) == [(b"accept", b"ours")], "ours win, and the connection's are its own"
    for url in ("https://api.example/v2/a", "https://api.example/v1x", "https://api.example/v1/%2e%2e/a"):
        with pytest.raises(BffError) as refused:
            own_scope(a_route(upstream="https://api.example/v1"), asked, httpx.Request("GET", url))
        assert isinstance(refused.value, InvalidRequest)


def test_a_response_keeps_its_length_and_no_cookie() -> None:
    kept = [(b"content-length", b"3"), (b"x-total", b"3")]
    assert received_headers([*kept, (b"set-cookie", b"a=b"), (b"connection", b"close")]) == kept
