"""A listening socket in the running event loop that can refuse connections for a while and return to its port.

While it refuses, the port stays bound but not listening: the kernel resets every connection attempt, and no other
process can take the port.
"""

import asyncio
import os
import socket
import struct
from typing import Any

import uvicorn
from starlette.types import ASGIApp


class Listener:
    """Serves one ASGI application over HTTP/1.1. `port` 0 means any free port."""

    def __init__(self, app: ASGIApp, *, host: str, port: int = 0, websockets: bool = False) -> None:
        self.host, self.port = host, port
        application: Any = app  # uvicorn and Starlette type the same interface differently
        self._config = uvicorn.Config(
            application,
            http="httptools",
            ws="websockets-sansio" if websockets else "none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=75,
        )
        self._server = uvicorn.Server(self._config)
        self._listening: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def refusing(self) -> bool:
        return self._listening is None

    @property
    def transports(self) -> list[asyncio.Transport]:
        """Those of the open connections."""
        return [connection.transport for connection in self._server.server_state.connections]

    async def start(self) -> None:
        """Raises OSError where the port is taken."""
        self._config.load()
        self._held = await self._bind()
        self.port = self._held.getsockname()[1]
        self._ticker = asyncio.create_task(self._server.main_loop())  # keeps the Date header true
        await self.accept()

    async def accept(self) -> None:
        """Listen (again)."""
        if self._held is None:
            return
        loop, held, self._held = asyncio.get_running_loop(), self._held, None
        self._listening = await loop.create_server(self._protocol, sock=held, backlog=2048)

    async def refuse(self) -> None:
        """Closes the listening socket and every connection. Running requests continue; their responses are lost."""
        if self._listening is None:
            return
        listening, self._listening = self._listening, None
        listening.close()
        self.drop_connections()
        self._held = await self._bind()

    async def close(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        if self._held is not None:
            self._held.close()
            self._held = None
        self.drop_connections()
        tasks = list(self._server.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *([self._ticker] if self._ticker else []), return_exceptions=True)
        await asyncio.sleep(0)  # lets the transports close their sockets

    def drop_connections(self) -> None:
        for transport in self.transports:
            transport.abort()

    def close_connection(self, client: tuple[str, int] | None, *, reset: bool) -> None:
        """Closes the connection of one client: at once with a TCP reset, or after pending data."""
        for connection in list(self._server.server_state.connections):
            if getattr(connection, "client", None) != client:
                continue
            if not reset:
                connection.transport.close()
                continue
            handle = connection.transport.get_extra_info("socket")
            # A duplicate descriptor, because event loops hide setsockopt; linger 0 makes close a reset.
            with socket.socket(fileno=os.dup(handle.fileno())) as same:
                same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.transport.abort()

    def _protocol(self) -> asyncio.Protocol:
        make: Any = self._config.http_protocol_class
        protocol: asyncio.Protocol = make(
            config=self._config,
            server_state=self._server.server_state,
            app_state={},
            _loop=asyncio.get_running_loop(),
        )
        return protocol

    async def _bind(self) -> socket.socket:
        for attempt in range(200):
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            # asyncio sets TCP_NODELAY only where the protocol is named; without it a small response waits for a
            # delayed ACK, about 40 ms.
            bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            try:
                bound.bind((self.host, self.port))
            except OSError:
                bound.close()
                # The closed socket may still exist for a moment; another process's would not disappear.
                if attempt == 199 or self._ticker is None:
                    raise
                await asyncio.sleep(0.005)
            else:
                return bound
        raise AssertionError("unreachable")  # pragma: no cover
