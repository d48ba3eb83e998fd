"""A small real world: a simulated Okta, an upstream that remembers, the BFF on the shipped server, real sockets."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from bff.app import Application, build_app
from bff.base64url import encode_base64url
from bff.config.settings import load_settings
from bff.server.uvicorn_0_54.server import uvicorn_config
from bff.session.keyring import new_key
from demo.simulator.grants import RotationPolicy
from demo.simulator.server import RunningSimulator, SimulatorConfig, running_simulator
from tests.harness.http_browser import Browser

CLIENT_ID = "0oajourneyclient0001"
CLIENT_SECRET = "journey-client-secret-0123456789abcdefghij"


@dataclass
class Clock:
    """The wall clock of the BFF, which a test may move; `time.monotonic` goes on as it is."""

    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class Heard:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """Answers 200 with what it heard, or the status queued in `answers`; adds `fields` to every answer.

    A path that ends with /events is an event stream with a second event once `goes_on` is set; a WebSocket is an echo.
    """

    heard: list[Heard] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        self.heard.append(Heard(scope["method"], scope["raw_path"].decode(), headers, body))
        if scope["path"].endswith("/events"):
            await self._events(receive, send)
            return
        status = self.answers.pop(0) if self.answers else 200
        answer = json.dumps({"path": scope["path"], "heard": len(body)}).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": [*fields, *self.fields]})
        await send({"type": "http.response.body", "body": answer})

    async def _events(self, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")],
            }
        )
        await send({"type": "http.response.body", "body": b"data: open\n\n", "more_body": True})
        more = asyncio.create_task(self.goes_on.wait())
        gone = asyncio.ensure_future(receive())
        await asyncio.wait([gone, more], return_when=asyncio.FIRST_COMPLETED)
        if more.done():
            await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})
        await gone
        more.cancel()

    async def _echo(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text") or ""})

    @property
    def tokens(self) -> list[str]:
        return [heard.headers.get("authorization", "").removeprefix("Bearer ") for heard in self.heard]


@dataclass
class World:
    okta: RunningSimulator
    bff: Application
    public_url: str
    upstream: Upstream
    clock: Clock
    environ: dict[str, str]
    _public: socket.socket
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)
    _browsers: list[Browser] = field(default_factory=list)

    def browser(self) -> Browser:
        browser = Browser(self.public_url)
        self._browsers.append(browser)
        return browser

    def advance(self, seconds: float) -> None:
        """Moves the BFF's wall clock and Okta's, as if that time had passed."""
        self.clock.ahead += seconds
        self.okta.control.advance(seconds)

    @property
    def callback(self) -> str:
        return f"{self.public_url}/authorization-code/callback"

    def session_keys(self, *keys: bytes) -> str:
        """`keys` as the setting says them, newest first."""
        return " ".join(encode_base64url(key) for key in keys)

    async def settled(self) -> None:
        """Returns when nothing is under way that the application began for itself: revocations, refreshes."""
        assert await self.bff.runtime.tasks.drain(60) == 0

    async def start(self) -> None:
        # A socket of its own for each server: uvicorn closes what it served, and the port must stay ours.
        await self._running.enter_async_context(serving(self.bff, self._public.dup(), lifespan="on"))

    async def restart(self, **changes: str) -> None:
        """Stops the BFF in good order and starts it again on its port, with its store and with changed settings."""
        await self._running.aclose()
        self.environ |= as_environ(changes)
        self.bff = build_app(load_settings(self.environ), clock=self.clock)
        await self.start()

    @asynccontextmanager
    async def replica(self) -> AsyncIterator[str]:
        """A second BFF with the same settings and store; its base URL. To a browser a port is no other site."""
        app = build_app(load_settings(self.environ), clock=self.clock)
        with listening() as bound:
            url = f"http://localhost:{bound.getsockname()[1]}"
            async with serving(app, bound, lifespan="on"):
                yield url

    async def close(self) -> None:
        for browser in self._browsers:
            await browser.close()
        await self._running.aclose()


def as_environ(changes: Mapping[str, str]) -> dict[str, str]:
    return {f"BFF_{name.upper()}": value for name, value in changes.items()}


@contextmanager
def listening() -> Iterator[socket.socket]:
    # Without the protocol asyncio does not switch Nagle off, and every answer would take 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound


class Server(uvicorn.Server):
    """Ends when it is told to, not at the next tenth of a second: hundreds of journeys start and stop it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.over = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # writes the Date header
        await self.over.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """What uvicorn does, in its order, without its pauses of a tenth of a second."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(0.002)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        for bound in sockets or []:
            bound.close()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving(app: Any, bound: socket.socket, *, lifespan: str = "off", http: Any = None) -> AsyncIterator[None]:
    """The shipped server around `app`, in this loop, on a socket that is bound already. `http`: another protocol."""
    config = uvicorn_config(app, write_batch=getattr(app, "write_batch", None), lifespan=lifespan)
    config.timeout_graceful_shutdown, config.http = 2, http or config.http
    server = Server(config)
    task = asyncio.create_task(server._serve([bound]))
    try:
        while not server.started:
            if task.done():
                task.result()
                raise RuntimeError("the server did not start")
            await asyncio.sleep(0.005)
        yield
    finally:
        server.over.set()
        await task


@asynccontextmanager
async def small_world(
    directory: Path,
    *,
    rotation: RotationPolicy | None = None,
    okta: Mapping[str, Any] | None = None,
    org_server: bool = False,
    prepare: Callable[[RunningSimulator], object] | None = None,
    route: Mapping[str, Any] | None = None,
    **changes: str,
) -> AsyncIterator[World]:
    """`changes` are settings as environment variables, without the prefix and in any case.

    `okta` changes how the provider is configured, `route` the one route, `prepare` is called with the provider before
    the BFF starts, and with `org_server` the issuer is the org authorization server instead of the custom one.
    """
    with listening() as public, listening() as api:
        # To a browser `localhost` and 127.0.0.1 are two sites, as the app and Okta are in production.
        public_url = f"http://localhost:{public.getsockname()[1]}"
        config = SimulatorConfig(
            **{
                "client_id": CLIENT_ID,
                "client_secrets": (CLIENT_SECRET,),
                "redirect_uris": (f"{public_url}/authorization-code/callback",),
                "post_logout_redirect_uris": (f"{public_url}/",),
                "rotation": rotation or RotationPolicy(),
                **(okta or {}),
            }
        )
        async with running_simulator(config) as provider:
            if prepare is not None:
                prepare(provider)
            routes = [{"prefix": "/api", "upstream": f"http://127.0.0.1:{api.getsockname()[1]}", **(route or {})}]
            environ = {
                "BFF_ISSUER": provider.org_issuer if org_server else provider.issuer,
                "BFF_CLIENT_ID": CLIENT_ID,
                "BFF_CLIENT_SECRET": CLIENT_SECRET,
                "BFF_PUBLIC_URL": public_url,
                "BFF_SESSION_KEYS": encode_base64url(new_key()),
                "BFF_STORE": f"sqlite:///{directory / 'bff.db'}",
                "BFF_ROUTES": json.dumps(routes),
                # 12 s from a reservation to its sending, not 2 s: a busy machine may stand still in between.
                "BFF_REFRESH_LEASE": "20",
                **as_environ(changes),
            }
            clock, upstream = Clock(), Upstream()
            bff = build_app(load_settings(environ), clock=clock)
            async with serving(upstream, api):
                world = World(provider, bff, public_url, upstream, clock, environ, public)
                try:
                    await world.start()
                    yield world
                finally:
                    await world.close()
