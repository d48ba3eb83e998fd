"""A small real world for the data plane: raw upstreams, the shipped server in its own thread, a client of bytes."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn

from bff.config.routes import Route
from bff.errors import SignInRequired
from bff.flows.streams import OpenStreams
from bff.proxy.client_address import TrustedProxies
from bff.proxy.credentials import UpstreamCredentials
from bff.proxy.headers import PublicOrigin
from bff.proxy.http import HttpProxy
from bff.proxy.pool import UpstreamPools
from bff.proxy.routes import RouteTable
from bff.proxy.websocket import WebSocketProxy
from bff.server.uvicorn_0_54.server import uvicorn_config
from bff.server.uvicorn_0_54.timeouts import Timeouts
from bff.session.store import SessionRecords
from bff.session.stream_end import StreamEnd
from bff.telemetry.application import ApplicationTelemetry
from bff.web.api import ApiEndpoint, Upstreams
from bff.web.error_responder import ErrorResponder
from bff.web.middleware.request_guard import RequestGuard
from bff.web.middleware.trace import TraceMiddleware
from bff.web.origin_policy import OriginPolicy
from tests.harness.policy import Policy
from tests.harness.routes import a_route

PUBLIC = "https://app.example"
OURS = "sec-fetch-site: same-origin\r\nx-csrf: 1\r\n"  # what our own page's fetch says
PATIENCE = 60.0  # seconds for what must come, and whose time is not what a test is about


@dataclass
class Heard:
    """One request as an upstream got it."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found == name]


@dataclass
class RawUpstream:
    port: int
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    # Set when a client connection reached its end while the answer was still being written or waited for.
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


async def read_head(reader: asyncio.StreamReader) -> tuple[str, list[tuple[str, str]]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    return first, [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]


async def read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")


async def read_body(reader: asyncio.StreamReader, fields: Iterable[tuple[str, str]]) -> bytes:
    given = dict(fields)
    if given.get("transfer-encoding") == "chunked":
        return b"".join([chunk async for chunk in read_chunks(reader)])
    return await reader.readexactly(int(given.get("content-length", "0")))


Respond = Callable[[Heard, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


def ok(body: bytes = b"ok", *fields: str, status: str = "200 OK") -> Respond:
    """The same whole answer to every request."""

    async def respond(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *fields]
        writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (b"" if heard.method == "HEAD" else body))
        return True

    return respond


def says(raw: bytes, *, then_close: bool = True) -> Respond:
    """These very bytes, whatever was asked."""

    async def respond(heard: Heard, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(raw)
        return not then_close

    return respond


@asynccontextmanager
async def raw_upstream(respond: Respond, *, reads_body: bool = True) -> AsyncIterator[RawUpstream]:
    """`respond` returns False to close the connection after its answer."""
    tasks: set[asyncio.Task[None]] = set()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                first, fields = await read_head(reader)
                method, target, _ = first.split(" ")
                heard = Heard(method, target, fields)
                upstream.heard.append(heard)
                if reads_body:
                    heard.body = await read_body(reader, fields)
                if not await respond(heard, reader, writer):
                    break
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            upstream.hung_up.set()
        except asyncio.CancelledError:
            return  # the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0)
    upstream = RawUpstream(server.sockets[0].getsockname()[1])
    try:
        yield upstream
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class TokenOfUser:
    access_token: str
    after_refusal: str | None = None
    refused: list[str] = field(default_factory=list)
    scopes: tuple[str, ...] = ("openid",)
    # The streams open with this token, by their `cut`: the server's loop, and whether they are to end with the token.
    streams: dict[Callable[[StreamEnd], None], tuple[asyncio.AbstractEventLoop, bool]] = field(default_factory=dict)

    def register_stream(
        self, cut: Callable[[StreamEnd], None], *, endless: bool, with_token: bool
    ) -> Callable[[], None]:
        self.streams[cut] = (asyncio.get_running_loop(), with_token)

        def closed() -> None:
            self.streams.pop(cut, None)

        return closed

    async def has_streams(self, count: int) -> None:
        """Returns when so many are open."""
        async with asyncio.timeout(PATIENCE):
            while len(self.streams) != count:
                await asyncio.sleep(0.01)

    def end_streams(self, end: StreamEnd) -> None:
        for cut, (loop, _) in list(self.streams.items()):
            loop.call_soon_threadsafe(cut, end)

    async def renewed(self, refused_token: str) -> str:
        self.refused.append(refused_token)
        return self.after_refusal or self.access_token


class CredentialsOfRequest:
    """Those that one request gets of a user."""

    dpop_bound = False

    def __init__(self, user: TokenOfUser) -> None:
        self.access_token, self.scopes, self.register_stream = user.access_token, user.scopes, user.register_stream
        self._user = user

    def dpop_proof(self, method: str, url: str, nonce: str | None) -> str:
        raise NotImplementedError

    async def renew(self) -> bool:
        before, self.access_token = self.access_token, await self._user.renewed(self.access_token)
        return self.access_token != before


class Users:
    """Who is signed in: a name in the cookie `user`, for each name a token: in the place of sessions."""

    def __init__(self, **tokens: TokenOfUser) -> None:
        self.tokens = tokens
        self.asked = 0

    async def __call__(self, scope: Any) -> UpstreamCredentials:
        self.asked += 1
        cookie = dict(scope["headers"]).get(b"cookie", b"").decode()
        name = cookie.removeprefix("user=").partition(";")[0]
        if name not in self.tokens:
            raise SignInRequired
        return CredentialsOfRequest(self.tokens[name])


@contextmanager
def serve(
    app: Any, *, close: Callable[[], None] = lambda: None, http: Any = None, timeouts: Timeouts | None = None
) -> Iterator[int]:
    """The server with the flags it ships with, on a port of its own; `close` runs in its loop at the end.

    `http` replaces our protocol by one of uvicorn's own.
    """

    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        close()
        await asyncio.sleep(0)
        await send({"type": "lifespan.shutdown.complete"})

    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn_config(with_lifespan, timeouts=timeouts, lifespan="on", loop="uvloop")
    config.http, config.timeout_graceful_shutdown = http or config.http, 1
    server = uvicorn.Server(config)
    ready = threading.Event()
    startup = server.startup

    async def startup_and_tell(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        ready.set()

    server.startup = startup_and_tell  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listening.close()
        assert not thread.is_alive()


@contextmanager
def bff(
    *routes: Route,
    users: Users | None = None,
    acr_values: tuple[str, ...] = (),
    trusted: tuple[str, ...] = (),
    telemetry: ApplicationTelemetry | None = None,
    timeouts: Timeouts | None = None,
) -> Iterator[int]:
    """Guard and API endpoint in front of real upstreams; `trusted` proxies may stand in front of them.

    An idle connection to an upstream is used again however long a test is held up between two requests.
    """
    proxy = HttpProxy(PublicOrigin.parse(PUBLIC), pools=UpstreamPools(idle_life=PATIENCE))
    who = users or Users(alice=TokenOfUser("token-of-alice"))
    streams = OpenStreams(cast("SessionRecords", None), Policy())  # no sessions here, so no store is read
    upstreams = Upstreams(RouteTable(routes), proxy, WebSocketProxy(PublicOrigin.parse(PUBLIC)), streams)
    origins, errors = OriginPolicy(PUBLIC), ErrorResponder()
    api = ApiEndpoint(upstreams, who, origins=origins, errors=errors, acr_values=acr_values)
    traced = TraceMiddleware(RequestGuard(api, errors), TrustedProxies(trusted), telemetry or ApplicationTelemetry())
    with serve(traced, close=proxy.close, timeouts=timeouts) as port:
        yield port


@asynccontextmanager
async def bff_beside(
    *routes: Route, users: Users | None = None, timeouts: Timeouts | None = None
) -> AsyncIterator[int]:
    """As `bff`, and this loop goes on while it stops: an upstream of this loop can still say goodbye."""
    running = bff(*routes, users=users, timeouts=timeouts)
    port = running.__enter__()
    try:
        yield port
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def route(upstream: RawUpstream, **options: Any) -> Route:
    # By itself a connection is given up after five seconds, and then the answer is another one.
    return a_route(**{"upstream": upstream.url, "connect_timeout": PATIENCE, **options})


@dataclass
class Answer:
    status: int
    fields: list[tuple[str, str]]
    body: bytes
    complete: bool

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2
        return values[0] if values else None


async def read_answer(reader: asyncio.StreamReader, *, to_head: bool = False) -> Answer:
    """One answer. `complete` is False if the connection ended before the framing said so."""
    first, fields = await read_head(reader)
    status, given, body = int(first.split(" ")[1]), dict(fields), b""
    try:
        if to_head or status in (204, 304):
            pass
        elif given.get("transfer-encoding") == "chunked":
            async for chunk in read_chunks(reader):
                body += chunk
        else:
            length = int(given["content-length"])
            while len(body) < length:
                piece = await reader.read(length - len(body))
                if not piece:
                    return Answer(status, fields, body, complete=False)
                body += piece
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(status, fields, body, complete=False)
    return Answer(status, fields, body, complete=True)


async def ask(port: int, raw: bytes | str, *, to_head: bool = False) -> Answer:
    """Sends these bytes on a connection of their own and reads one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw.encode("latin-1") if isinstance(raw, str) else raw)
        return await asyncio.wait_for(read_answer(reader, to_head=to_head), PATIENCE)
    finally:
        writer.close()


async def fetch(
    port: int, target: str, *fields: str, method: str = "GET", user: str | None = "alice", body: bytes | None = None
) -> Answer:
    """What our own page's fetch sends, as the user whose cookie it is."""
    lines = [f"{method} {target} HTTP/1.1", "host: app.example", "sec-fetch-site: same-origin", "x-csrf: 1", *fields]
    if user is not None:
        lines.append(f"cookie: user={user}; theme=dark")
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return await ask(port, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b""), to_head=method == "HEAD")
