"""A uvicorn server for each of the listeners (public, management, forward-auth), in one event loop."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from typing import Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.write_batching import WriteBatch
from bff.server.listeners import Bound, describe
from bff.server.uvicorn_0_54.server import Server, uvicorn_config
from bff.server.watchdog import Watchdog

logger = logging.getLogger(__name__)


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
    def public_url(self) -> str:
        """Where browsers reach it."""
        ...

    def begin_to_stop(self) -> None: ...

    def end_streams(self) -> None: ...

    def reload(self) -> None:
        """SIGHUP: reloads session keys and client secrets."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


async def serve(
    app: Application, bound: Sequence[Bound | None], drain_delay: float, watchdog_timeout: float = 0.0
) -> int:
    """Serves until SIGTERM or SIGINT, and returns 0 after an orderly shutdown.

    `bound` are the public, management and forward-auth listeners; only the first is required. After the signal
    readiness fails for `drain_delay` seconds before the listeners close. The process ends with code 4 if the event loop
    stands still for `watchdog_timeout` seconds; 0 is never.
    """
    public, management, forward_auth = bound
    if public is None:
        raise ValueError("the public address is not optional")
    starting = sum(listener is not None for listener in bound)

    def started() -> None:
        nonlocal starting
        starting -= 1
        if not starting:
            logger.info("ready: open %s", app.public_url)

    server = Server(
        uvicorn_config(app, write_batch=app.write_batch, lifespan="on"), on_closed=app.end_streams, on_started=started
    )
    loop = asyncio.get_running_loop()
    stop_requested = asyncio.Event()
    draining = loop.create_task(_drain(app, server, stop_requested, drain_delay))

    def request_stop(number: int) -> None:
        if stop_requested.is_set():
            server.handle_exit(number, None)  # a second signal skips the delay, and SIGINT skips waiting for requests
        stop_requested.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop, number)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    addresses = {
        "address": describe(public),
        "management": describe(management),
        "forward_auth": describe(forward_auth),
    }
    logger.info("listening", extra=addresses)
    inside = [
        (
            Server(uvicorn_config(inner, write_batch=app.write_batch, lifespan="off"), on_started=started),
            listener.socket,
        )
        for inner, listener in ((app.management, management), (app.forward_auth, forward_auth))
        if listener is not None
    ]
    answering = [asyncio.create_task(inner_server.serve(sockets=[listener])) for inner_server, listener in inside]
    async with Watchdog(watchdog_timeout).running():
        try:
            await server.serve(sockets=[public.socket])
        finally:
            draining.cancel()
            # The management and forward-auth ports keep answering until the last public request ends.
            for inner_server, _ in inside:
                inner_server.should_exit = True
            await asyncio.gather(*answering)
    return 0


async def _drain(app: Application, server: Server, stop_requested: asyncio.Event, delay: float) -> None:
    """SIGTERM: report not ready, wait `drain_delay`, then stop accepting connections."""
    await stop_requested.wait()
    app.begin_to_stop()
    logger.info("stopping", extra={"in_seconds": delay})
    await asyncio.sleep(delay)
    server.should_exit = True
