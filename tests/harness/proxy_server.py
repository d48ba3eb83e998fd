"""The data plane as it is shipped, in front of raw upstreams: request guard, API endpoint, proxies, server."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

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
from tests.harness.waiting import PATIENCE, until

PUBLIC = "https://app.example"


@dataclass
class User:
    """Somebody who is signed in: their access token, and the one that a renewal brings."""

    access_token: str
    after_refusal: str | None = None
    refused: list[str] = field(default_factory=list)
    scopes: tuple[str, ...] = ("openid",)
    claims: dict[str, Any] = field(default_factory=dict)
    # The open streams, by their `close`: the server's loop, and whether they end with the token.
    streams: dict[Callable[[StreamEnd], None], tuple[asyncio.AbstractEventLoop, bool]] = field(default_factory=dict)

    def register_stream(
        self, close: Callable[[StreamEnd], None], *, endless: bool, with_token: bool
    ) -> Callable[[], None]:
        self.streams[close] = (asyncio.get_running_loop(), with_token)

        def unregister() -> None:
            self.streams.pop(close, None)

        return unregister

    async def has_streams(self, count: int) -> None:
        """Returns when so many are open."""
        await until(lambda: len(self.streams) == count)

    def end_streams(self, end: StreamEnd) -> None:
        for close, (loop, _) in list(self.streams.items()):
            loop.call_soon_threadsafe(close, end)

    async def renewed(self, refused_token: str) -> str:
        self.refused.append(refused_token)
        return self.after_refusal or self.access_token


class CredentialsOfRequest:
    dpop_bound = False

    def __init__(self, user: User) -> None:
        self.access_token, self.scopes, self.register_stream = user.access_token, user.scopes, user.register_stream
        self.claim = user.claims.get
        self._user = user

    def authorize(self, route: Route) -> None:
        raise NotImplementedError

    def dpop_proof(self, method: str, url: str, nonce: str | None) -> str:
        raise NotImplementedError

    def assertion(self, route: Route) -> str:
        return f"assertion-for-{route.prefix}"

    async def renew(self) -> bool:
        before, self.access_token = self.access_token, await self._user.renewed(self.access_token)
        return self.access_token != before


class Users:
    """In the place of sessions: the cookie `user` has the name of somebody who is signed in."""

    def __init__(self, **users: User) -> None:
        self.users = users
        self.asked = 0

    async def __call__(self, scope: Any) -> UpstreamCredentials:
        self.asked += 1
        cookie = dict(scope["headers"]).get(b"cookie", b"").decode()
        name = cookie.removeprefix("user=").partition(";")[0]
        if name not in self.users:
            raise SignInRequired
        return CredentialsOfRequest(self.users[name])


def data_plane(
    *routes: Route,
    users: Users | None = None,
    acr_values: tuple[str, ...] = (),
    trusted: tuple[str, ...] = (),
    telemetry: ApplicationTelemetry | None = None,
) -> tuple[Any, Callable[[], None]]:
    """The application, and the function that closes its connections to upstreams."""
    # An idle connection is used again however long a test is stopped between two requests.
    proxy = HttpProxy(PublicOrigin.parse(PUBLIC), pools=UpstreamPools(idle_life=PATIENCE))
    who = users or Users(alice=User("token-of-alice"))
    streams = OpenStreams(cast("SessionRecords", None), Policy())  # without sessions no store is read
    upstreams = Upstreams(RouteTable(routes), proxy, WebSocketProxy(PublicOrigin.parse(PUBLIC)), streams)
    origins, errors = OriginPolicy(PUBLIC), ErrorResponder()
    api = ApiEndpoint(upstreams, who, origins=origins, errors=errors, acr_values=acr_values)

    async def alive_or_api(scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the health checks of the example proxies, which send no cookie; the rest is the API's."""
        from_proxy = scope["path"] == "/auth/session" and not any(name == b"cookie" for name, _ in scope["headers"])
        await (Response() if from_proxy else api)(scope, receive, send)

    app = TraceMiddleware(
        RequestGuard(alive_or_api, errors), TrustedProxies(trusted), telemetry or ApplicationTelemetry()
    )
    return app, proxy.close


@asynccontextmanager
async def running_proxy(*routes: Route, users: Users | None = None) -> AsyncIterator[int]:
    """Serves in the running event loop; its port."""
    app, close = data_plane(*routes, users=users)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn_config(app, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listener])
    try:
        yield listener.getsockname()[1]
    finally:
        close()
        for accepting in server.servers:
            accepting.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        if tasks := list(server.server_state.tasks):
            _, pending = await asyncio.wait(tasks, timeout=PATIENCE)
            assert not pending


@contextmanager
def serve(
    app: Any, *, close: Callable[[], None] = lambda: None, http: Any = None, timeouts: Timeouts | None = None
) -> Iterator[int]:
    """The server in a thread, with the flags it ships with; its port. `close` runs in its loop at the end."""

    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await app(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        ready.set()
        await receive()
        close()
        await asyncio.sleep(0)
        await send({"type": "lifespan.shutdown.complete"})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn_config(with_lifespan, timeouts=timeouts, lifespan="on", loop="uvloop")
    config.http, config.timeout_graceful_shutdown = http or config.http, 1
    server = uvicorn.Server(config)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        assert ready.wait(PATIENCE)  # the socket listens already
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        listener.close()
        assert not thread.is_alive()


@contextmanager
def bff(*routes: Route, timeouts: Timeouts | None = None, **options: Any) -> Iterator[int]:
    """The data plane in a thread; the options are those of `data_plane`."""
    app, close = data_plane(*routes, **options)
    with serve(app, close=close, timeouts=timeouts) as port:
        yield port


@asynccontextmanager
async def bff_beside(*routes: Route, timeouts: Timeouts | None = None, **options: Any) -> AsyncIterator[int]:
    """As `bff`, but the test's loop runs on while it stops: an upstream of that loop can still close."""
    running = bff(*routes, timeouts=timeouts, **options)
    port = running.__enter__()
    try:
        yield port
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)
