"""Connections to upstreams that are kept between requests. No cookies, redirects or proxy variables."""

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Final

from bff.asgi.write_batching import WriteBatch
from bff.config.routes import Route
from bff.config.upstream import Upstream
from bff.errors import UpstreamTimeout, UpstreamUnreachable
from bff.http1.connection import Http1Connection

# Seconds that a connection may idle. Common servers close theirs after five: ours closes first, so that no request is
# sent on a closing connection.
IDLE_LIFE: Final = 4.0
MAX_IDLE: Final = 128


class UpstreamPool:
    """One per upstream, so that a stalled upstream takes no connection from another."""

    def __init__(self, route: Route, write_batch: WriteBatch, *, idle_life: float = IDLE_LIFE) -> None:
        """For the upstream, the connect timeout and the client certificate of `route`; `idle_life` is in seconds."""
        self._upstream, self._connect_timeout = route.server, route.connect_timeout
        self._tls = (route.tls or ssl.create_default_context()) if route.server.scheme == "https" else None
        self._write_batch, self._idle_life = write_batch, idle_life
        self._idle: list[Http1Connection] = []
        self._busy: set[Http1Connection] = set()

    async def acquire(self, *, fresh: bool = False) -> Http1Connection:
        """The most recently used idle connection, or a new one. Raises UpstreamUnreachable or UpstreamTimeout."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._idle_life
        while self._idle:
            connection = self._idle.pop()
            if not fresh and connection.idle_since >= oldest and connection.quiet:
                self._busy.add(connection)
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    partial(Http1Connection, loop, self._write_batch),
                    self._upstream.address,
                    self._upstream.port,
                    ssl=self._tls,
                )
        except TimeoutError:
            raise UpstreamTimeout("The API did not accept a connection in time.") from None
        except OSError:
            # Connection refused, unknown name, untrusted certificate: the reason may name internal hosts, so it is not
            # shown.
            raise UpstreamUnreachable from None
        self._busy.add(connection)
        return connection

    def release(self, connection: Http1Connection) -> None:
        """Takes a connection back; one that cannot carry another exchange is closed, which also aborts the upstream's
        work.
        """
        self._busy.discard(connection)
        if connection.reusable and len(self._idle) < MAX_IDLE:
            connection.rest()
            self._idle.append(connection)
        else:
            connection.abort()

    def close(self) -> None:
        for connection in (*self._idle, *self._busy):
            connection.abort()
        self._idle.clear()


class UpstreamPools:
    """The pools of all routes. Routes with the same upstream, connect timeout and client certificate share one."""

    def __init__(self, write_batch: WriteBatch | None = None, *, idle_life: float = IDLE_LIFE) -> None:
        """`write_batch` is the one that the connections to clients use; `idle_life` is in seconds."""
        self._write_batch, self._idle_life = write_batch or WriteBatch(), idle_life
        self._pools: dict[tuple[Upstream, float, tuple[Path | None, ...]], UpstreamPool] = {}
        # By the id of a route, which is not reused while the route is kept here: a hash takes longer.
        self._of_routes: dict[int, tuple[Route, UpstreamPool]] = {}

    def of(self, route: Route) -> UpstreamPool:
        known = self._of_routes.get(id(route))
        if known is None:
            known = self._of_routes[id(route)] = route, self._shared(route)
        return known[1]

    def _shared(self, route: Route) -> UpstreamPool:
        # Routes with different client certificates must not share connections to one upstream.
        key = (route.server, route.connect_timeout, route.tls_files)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = UpstreamPool(route, self._write_batch, idle_life=self._idle_life)
        return pool

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()
