"""uvicorn's server and its configuration, as the BFF runs them."""

import contextlib
import socket
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

import uvicorn

from bff.asgi.write_batching import WriteBatch
from bff.config.routes import MAX_MESSAGE
from bff.server.header_sections import CACHE, HeaderSections
from bff.server.uvicorn_0_54.http_protocol import HttpProtocol
from bff.server.uvicorn_0_54.timeouts import Timeouts
from bff.server.uvicorn_0_54.websocket_protocol import WebSocketProtocol

# Longer than the keep-alive of nginx (60 s), Caddy and Traefik towards an upstream: the proxy must close an idle
# connection first, or it sends a request on a closing connection and responds with 502.
KEEP_ALIVE: Final = 75  # seconds
DRAIN: Final = 15  # seconds for responses in progress after SIGTERM; streams without an end are closed then


class Server(uvicorn.Server):
    """`on_started` is called when requests are served, `on_closed` once no new connection is accepted, before waiting
    for requests in progress.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        on_closed: Callable[[], None] = lambda: None,
        on_started: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(config)
        self._on_closed, self._on_started = on_closed, on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_started()

    @property
    def is_connected(self) -> bool:
        """Whether a connection is open, in use or not."""
        return bool(self.server_state.connections)

    def stop_accepting(self) -> None:
        """Leaves new connections to the other processes that have the listening socket. The present ones stay open."""
        for listener in self.servers:
            listener.close()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        self._on_closed()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """`bff.server.serve` handles the signals for all servers; uvicorn would re-raise them at the end and exit with
        code 143.
        """
        yield


def uvicorn_config(
    app: Any,
    *,
    write_batch: WriteBatch | None = None,
    timeouts: Timeouts | None = None,
    header_cache: int = CACHE,
    **more: Any,
) -> uvicorn.Config:
    """The configuration of one listener's server.

    `write_batch` is the application's, with which its upstream connections write too; without it the server has one of
    its own. `header_cache`: bytes of memory for headers that were received before. `more` is passed to uvicorn.
    """
    http = partial(
        HttpProtocol,
        write_batch=write_batch or WriteBatch(),
        timeouts=timeouts or Timeouts(),
        header_sections=HeaderSections(header_cache),
    )
    return uvicorn.Config(
        app,
        http=http,  # type: ignore[arg-type]  # uvicorn only calls it, to create a protocol
        ws=WebSocketProtocol,
        interface="asgi3",  # a guess would take a function that returns an awaitable for one of ASGI 2
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
