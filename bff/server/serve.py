"""A uvicorn server for each of the listeners (public, management, forward-auth), in one event loop."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Final, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.write_batching import WriteBatch
from bff.server.listeners import Bound, describe
from bff.server.uvicorn_0_54.server import Server, uvicorn_config
from bff.server.watchdog import Watchdog
from bff.server.worker import Worker
from bff.session.session import SessionKey
from bff.telemetry import metrics
from bff.web.health import ReadinessReport

logger = logging.getLogger(__name__)

# Seconds for which a worker that is replaced completes responses. Idle connections are closed earlier, by their
# keep-alive timeout.
RETIREMENT: Final = 300.0


class Application(Protocol):
    """The object that `bff.app.build_app` returns: an ASGI application that carries those of the other ports."""

    @property
    def management(self) -> ASGIApp: ...

    @property
    def forward_auth(self) -> ASGIApp: ...

    @property
    def write_batch(self) -> WriteBatch:
        """The batch of the connections to upstreams; those of clients write with it too."""
        ...

    @property
    def header_cache(self) -> int:
        """Bytes of memory for the headers of requests, for each of the ports to which requests of browsers come."""
        ...

    @property
    def public_url(self) -> str:
        """Where browsers reach it."""
        ...

    def begin_to_stop(self) -> None: ...

    def end_streams(self) -> None: ...

    def reload(self) -> None:
        """SIGHUP: reloads session keys and credentials."""
        ...

    async def report(self) -> ReadinessReport: ...

    async def check_ended(self, keys: Sequence[SessionKey]) -> None:
        """Closes the open streams of those sessions that have ended."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Running:
    """The servers of this process, and the ways to stop them. Signals and the supervisor use it."""

    def __init__(self, app: Application, public: Server, inside: Sequence[Server], drain_delay: float) -> None:
        """`inside` are the servers of the other ports. `drain_delay` is in seconds."""
        self._app, self._public, self._inside, self._drain_delay = app, public, inside, drain_delay
        self._stop_requested = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.reload, self.report, self.check_ended = app.reload, app.report, app.check_ended

    def stop(self, repeated: int = 0) -> None:
        """Reports not ready, waits the drain delay, then stops accepting connections.

        `repeated` is the number of a second signal: it skips the delay, and SIGINT skips waiting for requests.
        """
        if not self._stop_requested:
            self._stop_requested = True
            self._start(self._drain())
        elif repeated:
            self._public.handle_exit(repeated, None)

    def retire(self) -> None:
        """Leaves new connections to another worker, and ends once the last connection is closed.

        Each response says `Connection: close`. An idle connection is left to its client or its timeout: closing it
        could cross the next request.
        """
        self._start(self._retire())

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _drain(self) -> None:
        self._app.begin_to_stop()
        logger.info("stopping", extra={"in_seconds": self._drain_delay})
        await asyncio.sleep(self._drain_delay)
        self._public.should_exit = True

    async def _retire(self) -> None:
        logger.info("another worker takes over")
        self._app.begin_to_stop()
        servers = (self._public, *self._inside)
        for server in servers:
            server.stop_accepting()
        self._app.end_streams()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETIREMENT):
                while any(server.is_connected for server in servers):  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.1)
        self._public.should_exit = True

    def _start(self, work: Coroutine[None, None, None]) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(work))


async def serve(
    app: Application,
    bound: Sequence[Bound | None],
    drain_delay: float,
    watchdog_timeout: float = 0.0,
    worker: Worker | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, and returns 0 after an orderly shutdown.

    `bound` are the public, management and forward-auth listeners; only the first is required. After the signal
    readiness fails for `drain_delay` seconds before the listeners close. The process ends with code 4 if the event loop
    stands still for `watchdog_timeout` seconds; 0 is never. `worker` is given if this process is one of several.
    """
    public, management, forward_auth = bound
    if public is None:
        raise ValueError("the public address is not optional")
    starting = sum(listener is not None for listener in bound)

    def started() -> None:
        nonlocal starting
        starting -= 1
        if starting:
            return
        if worker is not None:
            worker.started()
        else:
            metrics.WORKERS.set(1)
            logger.info("ready: open %s", app.public_url)

    config = partial(uvicorn_config, write_batch=app.write_batch)
    server = Server(
        config(app, header_cache=app.header_cache, lifespan="on"), on_closed=app.end_streams, on_started=started
    )
    inside = [
        (Server(config(inner, header_cache=cache, lifespan="off"), on_started=started), listener.socket)
        for inner, listener, cache in (
            (app.management, management, 0),
            (app.forward_auth, forward_auth, app.header_cache),
        )
        if listener is not None
    ]
    running = Running(app, server, [inner_server for inner_server, _ in inside], drain_delay)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.stop, number)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    if worker is None:
        addresses = {
            "address": describe(public),
            "management": describe(management),
            "forward_auth": describe(forward_auth),
        }
        logger.info("listening", extra=addresses)
    async with (
        Watchdog(watchdog_timeout).running(),
        contextlib.nullcontext() if worker is None else worker.supervised(running),
    ):
        answering = [asyncio.create_task(inner_server.serve(sockets=[listener])) for inner_server, listener in inside]
        try:
            await server.serve(sockets=[public.socket])
        finally:
            running.cancel()
            # The management and forward-auth ports keep answering until the last public request ends.
            for inner_server, _ in inside:
                inner_server.should_exit = True
            await asyncio.gather(*answering)
    return 0
