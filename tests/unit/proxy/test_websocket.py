"""The handshake of a WebSocket: what it carries to the upstream, and what is refused."""

import asyncio
import json
from collections.abc import Callable

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from bff.proxy.headers import PublicOrigin
from bff.proxy.websocket import WebSocketProxy
from tests.harness.proxy_server import PUBLIC, User, Users, running_proxy
from tests.harness.raw_http import Reader, Writer
from tests.harness.raw_http import Request as RawRequest
from tests.harness.raw_upstream import ok, raw_upstream, route, sends
from tests.harness.websocket_peers import OUR_PAGE, browser, handshake, socket_upstream, to


class Handshakes(list[Request]):
    """Records those that an upstream receives, and refuses each other token than `only`."""

    def __init__(self, only: str | None = None) -> None:
        super().__init__()
        self.only = only

    def __call__(self, connection: ServerConnection, request: Request) -> Response | None:
        self.append(request)
        accepted = self.only is None or request.headers["Authorization"] == f"Bearer {self.only}"
        return None if accepted else connection.respond(401, "no")


async def test_the_handshake_carries_the_token_and_neither_our_cookies_nor_the_page() -> None:
    seen = Handshakes()
    async with socket_upstream(process_request=seen) as url:
        api = to(url + "/v1", strip_prefix=True, allow_cookies=("theme",))
        async with running_proxy(api) as port:
            headers = {"Cookie": "user=alice; theme=dark", "Authorization": "Bearer evil", "X-Forwarded-For": "6.6.6.6"}
            async with browser(port, "/api/chat%20room?a=1&b=%2F", additional_headers=headers):
                pass
    (request,) = seen
    assert request.path == "/v1/chat%20room?a=1&b=%2F"
    sent = request.headers
    assert sent.get_all("Authorization") == ["Bearer token-of-alice"]
    assert sent.get_all("Cookie") == ["theme=dark"]
    assert sent.get_all("Origin") == sent.get_all("Sec-WebSocket-Extensions") == []
    assert sent.get_all("Host") == [url.removeprefix("http://")]
    assert sent.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert sent.get_all("X-Forwarded-Host") == ["app.example"]


async def test_the_upstream_chooses_the_subprotocol() -> None:
    for supported, offered, chosen in (
        (["chat.v2", "chat.v1"], ["chat.v1", "chat.v2", "other"], "chat.v2"),
        (None, ["chat.v1"], None),
    ):
        async with (
            socket_upstream(subprotocols=supported) as url,
            running_proxy(to(url)) as port,
            browser(port, subprotocols=offered) as page,
        ):
            assert page.subprotocol == chosen


async def test_of_the_upstreams_101_only_listed_cookies_pass() -> None:
    def answer(connection: ServerConnection, request: Request, response: Response) -> Response:
        response.headers["Set-Cookie"] = "theme=light; Domain=example; Path=/"
        response.headers["Set-Cookie"] = "__Host-Http-session=evil"
        response.headers["X-Inside"] = "yes"
        return response

    async with (
        socket_upstream(process_response=answer) as url,
        running_proxy(to(url, allow_cookies=("theme",))) as port,
        browser(port) as page,
    ):
        assert page.response is not None
        assert page.response.headers.get_all("Set-Cookie") == ["theme=light; Path=/; Secure"]
        assert "X-Inside" not in page.response.headers


@pytest.mark.parametrize(
    ("fields", "user", "path", "status", "code"),
    [
        ((), "alice", "/api/x", 403, "csrf_required"),
        (("Origin: https://evil.example",), "alice", "/api/x", 403, "csrf_required"),
        (("Origin: null",), "alice", "/api/x", 403, "csrf_required"),
        (("Origin: http://app.example",), "alice", "/api/x", 403, "csrf_required"),
        (("Origin: https://app.example.evil.test",), "alice", "/api/x", 403, "csrf_required"),
        ((OUR_PAGE,), None, "/api/x", 401, "sign_in_required"),
        ((OUR_PAGE, "Sec-WebSocket-Protocol: a, a"), "alice", "/api/x", 400, "invalid_request"),
        ((OUR_PAGE,), "alice", "/nowhere", 404, "route_not_found"),
        ((OUR_PAGE,), "alice", "/plain/x", 405, "method_not_allowed"),
        ((OUR_PAGE,), "alice", "/api/%2e%2e/x", 400, "invalid_request"),
        ((OUR_PAGE, OUR_PAGE), "alice", "/api/x", 400, None),  # by the server itself
        ((OUR_PAGE, "Sec-WebSocket-Protocol: a b"), "alice", "/api/x", 400, None),
    ],
)
async def test_a_handshake_is_refused_before_the_upstream_hears_of_it(
    fields: tuple[str, ...], user: str | None, path: str, status: int, code: str | None
) -> None:
    async with (
        raw_upstream(ok()) as upstream,
        running_proxy(route(upstream, websocket=True), route(upstream, prefix="/plain")) as port,
    ):
        response = await handshake(port, *fields, path=path, user=user)
    assert response.status == status
    assert upstream.connections == 0
    if code is not None:
        assert json.loads(response.body)["code"] == code
        assert response.one("content-type") == "application/problem+json"
        assert response.complete


async def test_an_upstreams_own_refusal_is_passed_on_without_internal_headers() -> None:
    raw = b"HTTP/1.1 403 Forbidden\r\nserver: inside\r\nset-cookie: a=b\r\ncontent-length: 4\r\n\r\nnope"
    async with raw_upstream(sends(raw)) as upstream, running_proxy(route(upstream, websocket=True)) as port:
        response = await handshake(port, OUR_PAGE)
    assert (response.status, response.body, response.complete) == (403, b"nope", True)
    assert response.all("server") == response.all("set-cookie") == []
    assert response.one("cache-control") == "no-store"


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/steal\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: wrong\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"",
    ],
)
async def test_an_upstream_that_opens_no_websocket_is_502_and_no_redirect_is_followed(raw: bytes) -> None:
    async with raw_upstream(sends(raw)) as upstream, running_proxy(route(upstream, websocket=True)) as port:
        response = await handshake(port, OUR_PAGE)
    assert (response.status, json.loads(response.body)["code"]) == (502, "upstream_unreachable")
    assert upstream.connections == 1


async def test_an_unreachable_upstream_is_502_and_a_silent_one_is_504(advance_clock: Callable[[float], None]) -> None:
    async def silent(request: RawRequest, reader: Reader, writer: Writer) -> bool:
        advance_clock(5)
        return not await reader.read(1)

    async with raw_upstream(silent) as upstream, running_proxy(route(upstream, websocket=True, timeout=5)) as port:
        late = await handshake(port, OUR_PAGE)
    async with running_proxy(route(upstream, websocket=True)) as port:
        unreachable = await handshake(port, OUR_PAGE)
    assert (late.status, json.loads(late.body)["code"]) == (504, "upstream_timeout")
    assert (unreachable.status, json.loads(unreachable.body)["code"]) == (502, "upstream_unreachable")


async def test_a_refused_token_is_renewed_once_and_the_handshake_repeated() -> None:
    seen = Handshakes(only="new")
    renewed, refused = User("old", after_refusal="new"), User("old", after_refusal="older")
    async with socket_upstream(process_request=seen) as url:
        async with running_proxy(to(url), users=Users(alice=renewed)) as port, browser(port) as page:
            await page.send("x")
            assert await page.recv() == "x"
        async with running_proxy(to(url), users=Users(alice=refused)) as port:
            with pytest.raises(InvalidStatus) as refusal:
                async with browser(port):
                    pass
    assert renewed.refused == refused.refused == ["old"]
    assert refusal.value.response.status_code == 401
    assert len(seen) == 4


async def test_a_handshake_with_an_identity_assertion_is_not_repeated() -> None:
    seen, alice = Handshakes(only="new"), User("old", after_refusal="new")
    async with socket_upstream(process_request=seen) as url:
        api = to(url, token={"identity": {"audience": "chat"}})
        async with running_proxy(api, users=Users(alice=alice)) as port:
            with pytest.raises(InvalidStatus):
                async with browser(port, additional_headers={"X-BFF-Assertion": "forged", "Cookie": "user=alice"}):
                    pass
    (request,) = seen
    assert request.headers.get_all("Authorization") == ["Bearer assertion-for-/api"]
    assert request.headers.get_all("X-BFF-Assertion") == alice.refused == []


async def test_a_public_route_opens_a_websocket_without_a_token() -> None:
    seen, users = Handshakes(), Users()
    async with (
        socket_upstream(process_request=seen) as url,
        running_proxy(to(url, token="none"), users=users) as port,
        browser(port) as page,
    ):
        await page.send("x")
        assert await page.recv() == "x"
    assert users.asked == 0
    assert "Authorization" not in seen[0].headers


class Bound:
    """DPoP-bound credentials: each proof is the nonce that it holds."""

    access_token, scopes, dpop_bound = "at", (), True

    def claim(self, name: str) -> object:
        raise NotImplementedError

    def dpop_proof(self, method: str, url: str, nonce: str | None) -> str:
        return f"{method} {nonce}"

    async def renew(self) -> bool:
        return False

    def register_stream(self, close: object, *, endless: bool, with_token: bool) -> Callable[[], None]:
        raise NotImplementedError


async def test_a_handshake_that_lacks_a_dpop_nonce_is_repeated_once_with_it() -> None:
    raw = (
        b'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: DPoP error="use_dpop_nonce"\r\ndpop-nonce: n-1\r\n'
        b"content-length: 0\r\n\r\n"
    )
    sent: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    scope = {"raw_path": b"/api/x", "query_string": b"", "headers": [], "type": "websocket"}

    async def no_message() -> dict[str, object]:
        raise NotImplementedError

    async with raw_upstream(sends(raw)) as upstream:
        proxy = WebSocketProxy(PublicOrigin.parse(PUBLIC))
        await proxy.forward(route(upstream), scope, no_message, sent.put, credentials=Bound())
    assert sent.get_nowait()["status"] == 401
    assert [request.one("dpop") for request in upstream.requests] == ["GET None", "GET n-1"]
    assert {request.one("authorization") for request in upstream.requests} == {"DPoP at"}


async def test_a_step_up_challenge_is_passed_on_as_such() -> None:
    raw = (
        b'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error="insufficient_user_authentication", '
        b'max_age="300"\r\ncontent-length: 0\r\n\r\n'
    )
    alice = User("token-of-alice", after_refusal="new")
    async with (
        raw_upstream(sends(raw)) as upstream,
        running_proxy(route(upstream, websocket=True), users=Users(alice=alice)) as port,
    ):
        response = await handshake(port, OUR_PAGE)
    problem = json.loads(response.body)
    assert (response.status, problem["code"]) == (401, "step_up_required")
    assert problem["sign_in_url"] == "/auth/login?max_age=300&return_to="
    assert alice.refused == []
