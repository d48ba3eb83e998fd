"""`bff serve`: the public port and those that the public cannot reach, as servers in one event loop, one process."""

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

# Longer than the idle time that nginx (60 s), Caddy and Traefik keep a connection to an upstream: the one that closes
# first must be the proxy, or it sends a request into a closing connection and answers 502.
KEEP_ALIVE: Final = 75  # seconds
DRAIN: Final = 15  # seconds that answers under way may take after SIGTERM; endless streams are cut then


class Application(Protocol):
    """What `bff.app.build_app` gives: an ASGI application that carries those of the other ports."""

    @property
    def management(self) -> ASGIApp: ...

    @property
    def forward_auth(self) -> ASGIApp: ...

    def begin_to_stop(self) -> None: ...

    def end_streams(self) -> None: ...

    def reload(self) -> None:
        """SIGHUP: reads session keys and client secrets again."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class _Server(uvicorn.Server):
    """`on_closed` is called when nobody new is let in, before what is under way is waited for."""

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
        """`_serve` catches the signals, for all servers; uvicorn would raise them again at the end: exit code 143."""
        yield


def server_config(app: Any, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        ws_max_size=MAX_MESSAGE,
        # A secret next to text that somebody else chose would show in the compressed length.
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        # X-Forwarded-* is judged by our own guard, against trusted_proxies; uvicorn would rewrite the scope before it.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN,
        **more,
    )


def run(app: Application, settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT. Returns 0 after an orderly end, 3 when the application could not start.

    Raises ConfigurationError when an address cannot be bound.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold every token in memory
    # All that the start made stays for good: a collection need not look at it again. What a request makes is gone when
    # the request is, so collecting is for the rare cycle.
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
        except SystemExit as stopped:  # how uvicorn says that the lifespan failed; the reason has been logged
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
            server.handle_exit(number, None)  # the second time it is meant: no delay, and SIGINT waits for nobody
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
        # Probes, and proxies that ask for a token, are answered until the last request is.
        for inner_server, _ in inside:
            inner_server.should_exit = True
        await asyncio.gather(*answering)
    return 0


async def _leave(app: Application, server: uvicorn.Server, leaving: asyncio.Event, delay: float) -> None:
    """SIGTERM: not ready first, then no new connection, once those who watch our readiness have had time to see it."""
    await leaving.wait()
    app.begin_to_stop()
    logger.info("stopping", extra={"in_seconds": delay})
    await asyncio.sleep(delay)
    server.should_exit = True
