# ruff: noqa: SIM117 - a world inside a world reads better as two lines
"""WebSockets through the proxy, between a real client and a real server: what passes, what is refused, how it ends."""

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn.server import ServerState
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Origin

from bff.config.routes import Route
from bff.server.uvicorn_0_54.server import uvicorn_config
from bff.server.uvicorn_0_54.websocket_protocol import WebSocketProtocol
from bff.session.session import EndReason
from bff.session.stream_end import AccessTokenExpired, SessionEnded, StreamEnd
from tests.harness.routes import a_route
from tests.harness.upstream_wire import (
    PATIENCE,
    PUBLIC,
    Answer,
    TokenOfUser,
    Users,
    ask,
    bff_beside,
    ok,
    raw_upstream,
    route,
    says,
)

KIB = 1024
MIB = 1 << 20

Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def socket_upstream(handler: Handler = echo, **options: Any) -> AsyncIterator[str]:
    """A WebSocket server of its own; gives its URL."""
    async with serve(
        handler, "127.0.0.1", 0, **{"max_size": None, "compression": None, "open_timeout": PATIENCE, **options}
    ) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def to(url: str, **options: Any) -> Route:
    return a_route(upstream=url, **{"websocket": True, "connect_timeout": PATIENCE, **options})


@asynccontextmanager
async def browser(port: int, path: str = "/api/socket", **options: Any) -> AsyncIterator[ClientConnection]:
    """A browser's WebSocket on our page, as Alice. It offers compression, as browsers do."""
    cookies = {"Cookie": "user=alice; theme=dark; __Host-Http-session=x"}
    usual = {"origin": Origin(PUBLIC), "additional_headers": cookies, "max_size": None, "open_timeout": PATIENCE}
    async with connect(f"ws://127.0.0.1:{port}{path}", **{"proxy": None, **usual, **options}) as connection:
        yield connection


async def closing_of(connection: ClientConnection | ServerConnection) -> tuple[int, str]:
    """The close frame that came: code and reason."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                await connection.recv()
    assert connection.close_code is not None
    return connection.close_code, connection.close_reason or ""


async def handshake(port: int, *fields: str, path: str = "/api/socket", user: str | None = "alice") -> Answer:
    """The handshake as bytes, for answers that are no WebSocket."""
    lines = [f"GET {path} HTTP/1.1", "Host: app.example", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *fields]
    if user is not None:
        lines.append(f"Cookie: user={user}")
    return await ask(port, "\r\n".join(lines) + "\r\n\r\n")


OUR_PAGE = f"Origin: {PUBLIC}"


# --- messages


async def test_text_and_bytes_pass_both_ways_as_what_they_are() -> None:
    blob = secrets.token_bytes(200 * KIB)
    async with socket_upstream() as url, bff_beside(to(url)) as port, browser(port) as page:
        for message in ("", "héllo \U0001f600", b"", blob, "x" * (300 * KIB)):
            await page.send(message)
            assert await page.recv() == message
        # In pieces too: a message is whole before it goes on.
        await page.send(["one ", "two ", "three"])
        assert await page.recv() == "one two three"


async def test_the_handshake_carries_the_token_and_neither_our_cookies_nor_the_page() -> None:
    seen: list[Request] = []

    def note(connection: ServerConnection, request: Request) -> None:
        seen.append(request)

    async with socket_upstream(process_request=note) as url:
        to_api = to(url + "/v1", strip_prefix=True, allow_cookies=("theme",))
        async with bff_beside(to_api) as port:
            headers = {"Cookie": "user=alice; theme=dark", "Authorization": "Bearer evil", "X-Forwarded-For": "6.6.6.6"}
            async with browser(port, "/api/chat%20room?a=1&b=%2F", additional_headers=headers):
                pass
    (request,) = seen
    assert request.path == "/v1/chat%20room?a=1&b=%2F"
    sent = request.headers
    assert sent.get_all("Authorization") == ["Bearer token-of-alice"]
    assert sent.get_all("Cookie") == ["theme=dark"]
    assert sent.get_all("Origin") == []
    assert sent.get_all("Host") == [url.removeprefix("http://")]
    assert sent.get_all("X-Forwarded-For") == ["127.0.0.1"]
    assert sent.get_all("X-Forwarded-Host") == ["app.example"]
    assert sent.get_all("Sec-WebSocket-Extensions") == []


async def test_the_upstream_chooses_the_subprotocol() -> None:
    async with socket_upstream(subprotocols=["chat.v2", "chat.v1"]) as url, bff_beside(to(url)) as port:
        async with browser(port, subprotocols=["chat.v1", "chat.v2", "other"]) as page:
            assert page.subprotocol == "chat.v2"
    async with socket_upstream() as url, bff_beside(to(url)) as port:
        async with browser(port, subprotocols=["chat.v1"]) as page:
            assert page.subprotocol is None


async def test_a_cookie_that_the_route_lists_passes_at_the_handshake_and_no_other() -> None:
    def answer(connection: ServerConnection, request: Request, response: Response) -> Response:
        response.headers["Set-Cookie"] = "theme=light; Domain=example; Path=/"
        response.headers["Set-Cookie"] = "__Host-Http-session=evil"
        response.headers["X-Inside"] = "yes"
        return response

    async with socket_upstream(process_response=answer) as url:
        async with bff_beside(to(url, allow_cookies=("theme",))) as port:
            async with browser(port) as page:
                assert page.response is not None
                assert page.response.headers.get_all("Set-Cookie") == ["theme=light; Path=/; Secure"]
                assert "X-Inside" not in page.response.headers


# --- the end


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ((1000, "done"), (1000, "done")),
        ((1001, ""), (1001, "")),
        ((1008, "policy"), (1008, "policy")),
        ((1013, "later"), (1013, "later")),
        ((1014, "gateway"), (1011, "gateway")),  # Chromium takes 1014 for a protocol error
        ((3000, "registered"), (3000, "registered")),
        ((4999, "own"), (4999, "own")),
    ],
)
async def test_the_browser_hears_how_the_upstream_closed(said: tuple[int, str], heard: tuple[int, str]) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.send("last words")
        await connection.close(*said)

    async with socket_upstream(close) as url, bff_beside(to(url)) as port, browser(port) as page:
        assert await page.recv() == "last words"
        assert await closing_of(page) == heard


@pytest.mark.parametrize("said", [(1000, ""), (1000, "bye"), (1001, "away"), (3999, "x"), (4000, "own")])
async def test_the_upstream_hears_how_the_browser_closed(said: tuple[int, str]) -> None:
    heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def listen(connection: ServerConnection) -> None:
        heard.put_nowait(await closing_of(connection))  # type: ignore[arg-type]

    async with socket_upstream(listen) as url, bff_beside(to(url)) as port:
        async with browser(port) as page:
            await page.close(*said)
        assert await asyncio.wait_for(heard.get(), PATIENCE) == said


async def test_a_browser_that_vanishes_is_gone_for_the_upstream_too() -> None:
    heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def listen(connection: ServerConnection) -> None:
        heard.put_nowait(await closing_of(connection))  # type: ignore[arg-type]

    async with socket_upstream(listen) as url, bff_beside(to(url)) as port, browser(port) as page:
        page.transport.abort()
        assert await asyncio.wait_for(heard.get(), PATIENCE) == (1001, "")


@pytest.mark.parametrize("how", ["dies", "breaks the protocol"])
async def test_an_upstream_that_dies_closes_with_1011(how: str) -> None:
    async def die(connection: ServerConnection) -> None:
        await connection.send("alive")
        if how == "dies":
            connection.transport.abort()
        else:
            connection.transport.write(b"\xff\xff\xff\xff")
            await connection.wait_closed()

    async with socket_upstream(die) as url, bff_beside(to(url)) as port, browser(port) as page:
        assert await page.recv() == "alive"
        assert await closing_of(page) == (1011, "upstream lost")


@pytest.mark.parametrize("kind", ["text", "bytes"])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_a_message_over_the_limit_closes_with_1009_and_one_of_that_size_passes(way: str, kind: str) -> None:
    async def pour(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message if way == "up" else message * 2)

    def message(size: int) -> str | bytes:
        # Two bytes for each character: a limit is one of bytes.
        return "é" * (size // 2) if kind == "text" else b"x" * size

    limit = 64 * KIB
    async with socket_upstream(pour) as url, bff_beside(to(url, message_limit=limit)) as port:
        async with browser(port) as page:
            fits = limit if way == "up" else limit // 2
            await page.send(message(fits))
            assert len(await page.recv()) == len(message(limit))
            await page.send(message(fits + 2))
            assert await closing_of(page) == (1009, "message too big")


@pytest.mark.parametrize(
    ("end", "heard"),
    [
        (SessionEnded(EndReason.SIGNED_OUT), (4401, "signed_out")),
        (SessionEnded(), (4401, "session_ended")),
        (AccessTokenExpired(), (4408, "access_token_expired")),
    ],
)
async def test_a_websocket_is_cut_with_a_code_of_its_own(end: StreamEnd, heard: tuple[int, str]) -> None:
    upstream_heard: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    async def listen(connection: ServerConnection) -> None:
        upstream_heard.put_nowait(await closing_of(connection))  # type: ignore[arg-type]

    alice = TokenOfUser("token-of-alice")
    async with socket_upstream(listen) as url, bff_beside(to(url), users=Users(alice=alice)) as port:
        async with browser(port) as page:
            await alice.has_streams(1)
            alice.end_streams(end)
            assert await closing_of(page) == heard
        assert await asyncio.wait_for(upstream_heard.get(), PATIENCE) == (1001, "")
        await alice.has_streams(0)


async def test_a_browser_that_reads_nothing_is_cut_all_the_same() -> None:
    gone = asyncio.Event()

    async def flood(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.send(b"x" * 64 * KIB)
        gone.set()

    alice = TokenOfUser("token-of-alice")
    async with socket_upstream(flood) as url, bff_beside(to(url), users=Users(alice=alice)) as port:
        async with browser(port, max_queue=1) as page:
            await alice.has_streams(1)
            await page.recv()
            alice.end_streams(SessionEnded())
            await asyncio.wait_for(gone.wait(), PATIENCE)
            await alice.has_streams(0)
            page.transport.abort()


class Slow(asyncio.Transport):
    """To a browser that reads nothing: closing takes until it does."""

    def __init__(self) -> None:
        super().__init__({"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2), "socket": None})
        self.told, self.closing = b"", False

    def write(self, data: Any) -> None:
        self.told += bytes(data)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def test_a_server_that_stops_says_nothing_to_a_browser_whose_close_was_answered_and_not_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    config = uvicorn_config(app, lifespan="off")
    config.load()
    state, transport = ServerState(), Slow()
    protocol = WebSocketProtocol(config, state, app_state={})
    protocol.connection_made(transport)
    fields = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    protocol.data_received(f"GET / HTTP/1.1\r\n{fields}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    await asyncio.sleep(0)
    protocol.data_received(b"\x88\x80\0\0\0\0")
    assert transport.told.endswith(b"\r\n\r\n\x88\0")
    assert state.connections == {protocol}
    protocol.shutdown()  # raised InvalidState, and the server's end with it
    assert transport.told.endswith(b"\r\n\r\n\x88\0")
    await asyncio.gather(*state.tasks)
    protocol.connection_lost(None)


async def test_an_open_websocket_is_taken_off_when_it_closes_by_itself() -> None:
    alice = TokenOfUser("token-of-alice")
    async with socket_upstream() as url:
        async with bff_beside(to(url, on_token_expiry="close"), users=Users(alice=alice)) as port:
            async with browser(port) as page:
                await page.send("x")
                await page.recv()
                assert [with_token for _, with_token in alice.streams.values()] == [True]
            await alice.has_streams(0)


# --- back-pressure


async def test_an_upstream_waits_for_a_browser_that_reads_nothing() -> None:
    sent, piece = 0, b"d" * 64 * KIB

    async def flood(connection: ServerConnection) -> None:
        nonlocal sent
        while sent < 64 * MIB:
            await connection.send(piece)
            sent += len(piece)

    async with socket_upstream(flood) as url, bff_beside(to(url)) as port:
        async with browser(port, max_queue=1, compression=None) as page:
            held = -1
            while held != sent:  # nobody reads: it comes to a standstill by itself
                held = sent
                await asyncio.sleep(0.3)
            assert 0 < held < 32 * MIB
            received = 0
            while received < 64 * MIB:
                received += len(await page.recv())


async def test_a_browser_waits_for_an_upstream_that_reads_nothing() -> None:
    may_read, received = asyncio.Event(), 0

    async def slow(connection: ServerConnection) -> None:
        nonlocal received
        await may_read.wait()
        while received < 64 * MIB:
            received += len(await connection.recv())

    sent, piece = 0, b"u" * 64 * KIB
    async with socket_upstream(slow, max_queue=1) as url, bff_beside(to(url)) as port:
        async with browser(port, compression=None, ping_interval=None) as page:

            async def upload() -> None:
                nonlocal sent
                while sent < 64 * MIB:
                    await page.send(piece)
                    sent += len(piece)

            async with asyncio.TaskGroup() as group:
                group.create_task(upload())
                held = -1
                while held != sent:
                    held = sent
                    await asyncio.sleep(0.3)
                assert 0 < held < 32 * MIB
                may_read.set()
            assert await closing_of(page) == (1000, "")
    assert received == 64 * MIB


# --- handshakes that open nothing


@pytest.mark.parametrize(
    ("fields", "user", "status", "code"),
    [
        ((), "alice", 403, "csrf_required"),
        (("Origin: https://evil.test",), "alice", 403, "csrf_required"),
        (("Origin: null",), "alice", 403, "csrf_required"),
        (("Origin: https://app.example.evil.test",), "alice", 403, "csrf_required"),
        ((OUR_PAGE,), None, 401, "sign_in_required"),
        ((OUR_PAGE, "Sec-WebSocket-Protocol: a, a"), "alice", 400, "invalid_request"),
    ],
)
async def test_a_handshake_is_refused_as_problem_json_before_the_upstream_hears_of_it(
    fields: tuple[str, ...], user: str | None, status: int, code: str
) -> None:
    async with raw_upstream(ok()) as upstream, bff_beside(route(upstream, websocket=True)) as port:
        answer = await handshake(port, *fields, user=user)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert answer.one("content-type") == "application/problem+json"
    assert answer.complete
    assert upstream.connections == 0


@pytest.mark.parametrize("fields", [(OUR_PAGE, OUR_PAGE), (OUR_PAGE, "Sec-WebSocket-Protocol: a b")])
async def test_a_malformed_handshake_is_refused_by_the_server_itself(fields: tuple[str, ...]) -> None:
    async with raw_upstream(ok()) as upstream, bff_beside(route(upstream, websocket=True)) as port:
        answer = await handshake(port, *fields)
    assert answer.status == 400
    assert upstream.connections == 0


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/nowhere", 404, "route_not_found"),
        ("/plain/x", 405, "method_not_allowed"),
        ("/api/%2e%2e/x", 400, "invalid_request"),
    ],
)
async def test_a_handshake_elsewhere_is_refused(path: str, status: int, code: str) -> None:
    async with raw_upstream(ok()) as upstream:
        async with bff_beside(route(upstream, websocket=True), route(upstream, prefix="/plain")) as port:
            answer = await handshake(port, OUR_PAGE, path=path)
    assert (answer.status, json.loads(answer.body)["code"]) == (status, code)
    assert upstream.connections == 0


async def test_an_allowed_origin_may_open_one_where_it_is_listed() -> None:
    from bff.web.origin_policy import OriginPolicy

    OriginPolicy(PUBLIC, ["https://admin.example"]).check_websocket([(b"origin", b"https://admin.example")])


async def test_an_upstreams_own_refusal_is_passed_on_without_what_is_inside() -> None:
    said = b"HTTP/1.1 403 Forbidden\r\nserver: inside\r\nset-cookie: a=b\r\ncontent-length: 4\r\n\r\nnope"
    async with raw_upstream(says(said)) as upstream, bff_beside(route(upstream, websocket=True)) as port:
        answer = await handshake(port, OUR_PAGE)
    assert (answer.status, answer.body, answer.complete) == (403, b"nope", True)
    assert answer.all("server") == answer.all("set-cookie") == []
    assert answer.one("cache-control") == "no-store"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/steal\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: wrong\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"",
    ],
)
async def test_an_upstream_that_does_not_speak_websocket_is_502_and_no_redirect_is_followed(said: bytes) -> None:
    async with raw_upstream(says(said)) as upstream, bff_beside(route(upstream, websocket=True)) as port:
        answer = await handshake(port, OUR_PAGE)
    assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_unreachable")
    assert upstream.connections == 1


async def test_an_upstream_that_nobody_runs_is_502_and_one_that_says_nothing_is_504() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with bff_beside(to(url, timeout=0.2), to("http://127.0.0.1:1", prefix="/nobody")) as port:
            late = await handshake(port, OUR_PAGE)
            nobody = await handshake(port, OUR_PAGE, path="/nobody/x")
    assert (late.status, json.loads(late.body)["code"]) == (504, "upstream_timeout")
    assert (nobody.status, json.loads(nobody.body)["code"]) == (502, "upstream_unreachable")


async def test_a_refused_token_is_renewed_once_and_the_handshake_tried_again() -> None:
    def only_new(connection: ServerConnection, request: Request) -> Response | None:
        if request.headers["Authorization"] == "Bearer new":
            return None
        return connection.respond(401, "no")

    fixed, refused = TokenOfUser("old", after_refusal="new"), TokenOfUser("old", after_refusal="older")
    async with socket_upstream(process_request=only_new) as url:
        async with bff_beside(to(url), users=Users(alice=fixed)) as port, browser(port) as page:
            await page.send("x")
            assert await page.recv() == "x"
        async with bff_beside(to(url), users=Users(alice=refused)) as port:
            with pytest.raises(InvalidStatus) as refusal:
                async with browser(port):
                    pass
    assert fixed.refused == refused.refused == ["old"]
    assert refusal.value.response.status_code == 401


async def test_an_upstream_that_wants_a_stronger_sign_in_is_told_as_such() -> None:
    said = (
        b'HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error="insufficient_user_authentication", '
        b'max_age="300"\r\ncontent-length: 0\r\n\r\n'
    )
    alice = TokenOfUser("token-of-alice", after_refusal="new")
    async with raw_upstream(says(said)) as upstream:
        async with bff_beside(route(upstream, websocket=True), users=Users(alice=alice)) as port:
            answer = await handshake(port, OUR_PAGE)
    problem = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (401, "step_up_required")
    assert problem["sign_in_url"] == "/auth/login?max_age=300&return_to="
    assert alice.refused == []


async def test_a_public_route_takes_a_websocket_of_our_page_without_a_token() -> None:
    seen: list[Request] = []

    def note(connection: ServerConnection, request: Request) -> None:
        seen.append(request)

    users = Users()
    async with socket_upstream(process_request=note) as url, bff_beside(to(url, token="none"), users=users) as port:
        async with browser(port) as page:
            await page.send("x")
            assert await page.recv() == "x"
    assert users.asked == 0
    assert "Authorization" not in seen[0].headers
