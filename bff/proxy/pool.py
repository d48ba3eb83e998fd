"""Connections to one upstream, kept for the next request. No cookies, redirects or proxy variables."""

import asyncio
import ssl
from typing import Final

from bff.errors import UpstreamTimeout, UpstreamUnreachable
from bff.proxy.http1_connection import UpstreamConnection
from bff.proxy.routes import Upstream

# Seconds a connection may rest. Common servers close theirs after five: ours goes first, so that a request does not
# leave on a connection that is being closed at the other end.
IDLE_LIFE: Final = 4.0
MAX_IDLE: Final = 128


class UpstreamPool:
    """One for each upstream, so that one that hangs takes no connection from another."""

    def __init__(self, upstream: Upstream, *, connect_timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`connect_timeout` is in seconds and covers name, TCP and TLS. `tls` replaces the system's trust."""
        self._upstream, self._connect_timeout = upstream, connect_timeout
        self._tls = (tls or ssl.create_default_context()) if upstream.scheme == "https" else None
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """The connection that rested least, or a new one. Raises UpstreamUnreachable or UpstreamTimeout."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_LIFE
        while self._idle:
            connection = self._idle.pop()
            if not fresh and connection.idle_since >= oldest and connection.quiet:
                self._busy.add(connection)
                return connection
            connection.abort()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(loop), self._upstream.address, self._upstream.port, ssl=self._tls
                )
        except TimeoutError:
            raise UpstreamTimeout("The API did not accept a connection in time.") from None
        except OSError:
            # Refused, unknown name, a certificate that is not trusted: the reason names the inside, so it stays here.
            raise UpstreamUnreachable from None
        self._busy.add(connection)
        return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Takes a connection back; one that can't carry another exchange is closed, and its upstream's work with it."""
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
