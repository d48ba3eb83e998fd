"""`Bff`: one BFF in a process that another application runs."""

import os
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.app import Application, build_app
from bff.components.ports import Ports
from bff.config.reload import Sources
from bff.config.settings import Settings
from bff.errors import BffError, ConfigurationError
from bff.fastapi.dependencies import requests_of
from bff.fastapi.enclosing import enclose
from bff.fastapi.start_checks import check_host
from bff.telemetry.metrics import join
from bff.web.host import HOST, Host


class Bff:
    """Signs users in for one application and keeps their tokens.

    `install` makes it a part of a FastAPI application. Without that it is an ASGI application itself: serve it, or
    mount it at `/` and pass `lifespan` to the outer application. Nothing is opened before it starts, and it may start
    again after its end.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        """Without `settings` they are read at the start, from the environment and bff.toml, and session keys and
        client credentials are reloaded when their files change. Given settings stay as they are.
        """
        self._settings = settings
        self._ports, self._clock = Ports(), time.time
        self._host: Host | None = None
        self._prepared: Application | None = None
        self._running: Application | None = None

    def install(self, app: FastAPI, *, csrf_exempt: Collection[str] = ()) -> None:
        """Makes this BFF a part of `app`, before it starts.

        The BFF answers below /auth, at the callback and at the prefixes of its routes; `app` gets all other requests.
        Unsafe ones, and WebSocket handshakes, are refused unless a page of this application sent them (403
        `csrf_required`); `csrf_exempt` lists paths, with everything below them, that others may call, such as a
        webhook. The BFF starts before the lifespan of `app` and ends after it. Errors of the BFF that routes of `app`
        raise become problem JSON, unless `app` has a handler for BffError. Raises ConfigurationError.
        """
        exempt = _exempt_paths(csrf_exempt)
        if self._host is not None or getattr(app.state, "bff", None) is not None:
            raise ConfigurationError("Bff.install", "was called before.", "Install one Bff in one application.")
        if self._running is not None or app.middleware_stack is not None:
            raise ConfigurationError("Bff.install", "was called after the start.", "Call it where the app is created.")
        app.state.bff = self
        self._host = Host(enclose(app, self._serve), exempt)
        app.exception_handlers.setdefault(BffError, _respond)
        app.router.default = _or_single_page_app(app.router.default)
        inner = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(host: FastAPI) -> AsyncIterator[Any]:
            async with self.lifespan(host), inner(host) as state:
                yield state

        app.router.lifespan_context = lifespan

    @asynccontextmanager
    async def lifespan(self, app: FastAPI | None = None) -> AsyncIterator[None]:
        """Runs the BFF in the block: checks at the start, early refreshes, purging, reload of secrets, an orderly end.

        `FastAPI(lifespan=bff.lifespan)` is for an application that mounts the BFF; `install` does it by itself. Raises
        ConfigurationError for settings that are wrong, and for routes of `app` that no request could reach.
        """
        if self._running is not None:
            raise ConfigurationError("Bff", "runs already.", "Create one Bff for each application.")
        application = self.prepare()
        self._prepared = None
        async with AsyncExitStack() as stack:
            await application.lifespan.start(stack)
            failure: Exception | None = None
            try:
                if self._host is not None and app is not None:
                    check_host(app, application.runtime.settings)
                join()
                self._running = application
                yield
            except Exception as error:  # a task group on its way would wrap it, and it is the host's
                failure = error
            finally:
                self._running = None
                application.begin_to_stop()
                application.end_streams()
        if failure is not None:
            raise failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The BFF as an ASGI application of its own."""
        if scope["type"] != "lifespan":
            await self._serve(scope, receive, send)
            return
        await receive()
        try:
            async with self.lifespan():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except BffError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        await send({"type": "lifespan.shutdown.complete"})

    def replace(self, settings: Settings, ports: Ports, clock: Callable[[], float] = time.time) -> None:
        """Uses other settings and ports from the next start on. For tests: `bff.testing` replaces the provider.

        `clock` is the wall clock, in seconds since the epoch.
        """
        self._settings, self._ports, self._clock = settings, ports, clock

    async def settle(self, within: float) -> None:
        """Returns when nothing is under way that the BFF began for itself, such as a refresh ahead of time. For tests.

        Raises TimeoutError after `within` seconds.
        """
        if self._running is not None and await self._running.runtime.tasks.drain(within):
            raise TimeoutError("tasks of the BFF did not end")

    def prepare(self, ports: Ports | None = None, sources: Sources | None = None) -> Application:
        """Builds the components, which the next start then uses. For `bff serve`, which needs them before.

        `sources` take the place of the environment of this process. Raises ConfigurationError.
        """
        if self._prepared is None:
            given = ports or self._ports
            ports = Ports(given.provider, given.org, given.transmitter, given.siblings, self._host)
            settings, reloaded = self._settings, None
            if settings is None:
                reloaded = sources or Sources(dict(os.environ))
                settings = reloaded.load()
            self._prepared = build_app(settings, clock=self._clock, sources=reloaded, ports=ports)
        return self._prepared

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._running is None:
            raise ConfigurationError(
                "the application with the Bff",
                "has not started: its lifespan did not run.",
                "Serve it by itself: no lifespan runs for a mounted application. In a test use `with TestClient(app)`.",
            )
        if scope.get("root_path"):
            raise ConfigurationError(
                "the application with the Bff",
                "is below a path, and needs a whole origin: its cookies are for every path of it.",
                "Serve it at / of a host name of its own.",
            )
        await self._running(scope, receive, send)


def _exempt_paths(given: Collection[str]) -> tuple[str, ...]:
    """Raises ConfigurationError for what would exempt every path, as the characters of "/webhooks" would, or none."""
    paths = () if isinstance(given, str) else tuple(given)
    if isinstance(given, str) or not all(path.startswith("/") and path.strip("/") for path in paths):
        raise ConfigurationError(
            "csrf_exempt of Bff.install",
            "is not a list of paths, each with a name after the slash.",
            'Write it like csrf_exempt=["/webhooks"].',
        )
    return paths


def create_app(settings: Settings | None = None) -> Bff:
    """The BFF as an ASGI application, for any server; `settings` as for `Bff`."""
    return Bff(settings)


async def _respond(connection: Any, error: Exception) -> Any:
    """For requests and for WebSockets: Starlette takes one handler for both."""
    assert isinstance(error, BffError)
    return await requests_of(connection).respond(connection, error)


def _or_single_page_app(not_found: ASGIApp) -> ASGIApp:
    """What the BFF serves for paths without a route of the host: the single-page application, if there is one."""

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        requests = scope.get(HOST)
        spa = None if requests is None else requests.not_found
        await (spa or not_found)(scope, receive, send)

    return respond
