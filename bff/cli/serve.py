"""`bff serve`: the public, management and forward-auth listeners as uvicorn servers in one
event loop and one process.
"""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final, Protocol

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from bff.config.routes import MAX_MESSAGE
from bff.config.settings import Settings
from bff.server.listeners import Bound, bind, describe, remove_socket_file
from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.websocket_protocol import WebSocketProtocol

logger = logging.getLogger(__name__)

# Longer than the keep-alive of nginx (60 s), Caddy and Traefik towards an upstream: the proxy must close an idle
# connection first, or it sends a request on a closing connection and answers 502.
KEEP_ALIVE: Final = 75  # seconds
DRAIN: Final = 15  # seconds for responses in progress after SIGTERM; streams without an end are closed then


class Application(Protocol):
    """The object that `bff.app.build_app` returns: an ASGI application that carries those of the other ports."""

    @property
    def management(self) -> ASGIApp: ...

    @property
    def forward_auth(self) -> ASGIApp: ...

    def begin_to_stop(self) -> None: ...

    def end_streams(self) -> None: ...

    def reload(self) -> None:
        """SIGHUP: reloads session keys and client secrets."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class _Server(uvicorn.Server):
    """`on_closed` is called once no new connection is accepted, before waiting for requests in progress."""

    def __init__(self, config: uvicorn.Config, on_closed: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._on_closed = on_closed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        self._on_closed()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """`_serve` handles the signals for all servers; uvicorn would re-raise them at the end
        and exit with code 143.
        """
        yield


def server_config(app: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=MAX_MESSAGE,
        # per-message deflate stays off: compressing a secret next to attacker-chosen text leaks it through the length
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        # The request guard handles X-Forwarded-* by trusted_proxies; uvicorn would rewrite the scope before it.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
        **more,
    )


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
    server = _Server(server_config(app, lifespan="on"), on_closed=app.end_streams)
    loop = asyncio.get_running_loop()
    leaving = asyncio.Event()
    stopping = loop.create_task(_leave(app, server, leaving, drain_delay))

    def leave(number: int) -> None:
        if leaving.is_set():
            server.handle_exit(number, None)  # a second signal skips the delay, and SIGINT skips waiting for requests
        leaving.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave, number)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    addresses = {
        "address": describe(public),
        "management": describe(management),
        "forward_auth": describe(forward_auth),
    }
    logger.info("listening", extra=addresses)
    inside = [
        (_Server(server_config(inner, lifespan="off")), listener.socket)
        for inner, listener in ((app.management, management), (app.forward_auth, forward_auth))
        if listener is not None
    ]
    answering = [asyncio.create_task(inner_server.serve(sockets=[listener])) for inner_server, listener in inside]
    try:
        await server.serve(sockets=[public.socket])
    finally:
        stopping.cancel()
        # The management and forward-auth ports keep answering until the last public request ends.
        for inner_server, _ in inside:
            inner_server.should_exit = True
        await asyncio.gather(*answering)
    return 0


async def _leave(app: Application, server: uvicorn.Server, leaving: asyncio.Event, delay: float) -> None:
    """SIGTERM: report not ready, wait `drain_delay`, then stop accepting connections."""
    await leaving.wait()
    app.begin_to_stop()
    logger.info("stopping", extra={"in_seconds": delay})
    await asyncio.sleep(delay)
    server.should_exit = True
