"""`bff serve`: a uvicorn server for each of the listeners (public, management, forward-auth), in one event loop and one
process.
"""

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Sequence
from typing import Protocol

import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.asgi.write_batching import WriteBatch
from bff.config.settings import Settings
from bff.server.listeners import Bound, bind, describe, remove_socket_file
from bff.server.uvicorn_0_54.server import Server, uvicorn_config

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

    def begin_to_stop(self) -> None: ...

    def end_streams(self) -> None: ...

    def reload(self) -> None:
        """SIGHUP: reloads session keys and client secrets."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


def run(app: Application, settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT.

    Returns 0 after an orderly shutdown, 3 when the application could not start. Raises ConfigurationError when an
    address cannot be bound.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold every token in memory
    # Objects created at start-up live as long as the process, so they are frozen out of garbage collection; requests
    # create few cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    addresses = {
        "BFF_LISTEN": settings.listen_address,
        "BFF_MANAGEMENT_LISTEN": settings.management_address,
        "BFF_FORWARD_AUTH_LISTEN": settings.forward_auth_address,
    }
    bound = [None if address is None else bind(setting, address) for setting, address in addresses.items()]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(_serve(app, bound, settings.drain_delay))
        except SystemExit as stopped:  # uvicorn's sign that the lifespan failed; the reason has been logged
            return stopped.code if isinstance(stopped.code, int) and stopped.code else 3
        finally:
            for listener in bound:
                remove_socket_file(listener)


async def _serve(app: Application, bound: Sequence[Bound | None], drain_delay: float) -> int:
    public, management, forward_auth = bound
    if public is None:
        raise ValueError("the public address is not optional")
    server = Server(uvicorn_config(app, write_batch=app.write_batch, lifespan="on"), on_closed=app.end_streams)
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
        (Server(uvicorn_config(inner, write_batch=app.write_batch, lifespan="off")), listener.socket)
        for inner, listener in ((app.management, management), (app.forward_auth, forward_auth))
        if listener is not None
    ]
    answering = [asyncio.create_task(inner_server.serve(sockets=[listener])) for inner_server, listener in inside]
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
