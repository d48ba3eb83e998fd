"""Idle connections to one upstream. No cookies, redirects or proxy variables."""

import asyncio
import ssl
from typing import Final

from bff.errors import UpstreamTimeout, UpstreamUnreachable
from bff.proxy.http1_connection import UpstreamConnection
from bff.proxy.routes import Upstream

# Seconds that a connection may idle. Common servers close theirs after five: ours closes first, so that no request is
# sent on a closing connection.
IDLE_LIFE: Final = 4.0
MAX_IDLE: Final = 128


class UpstreamPool:
    """One per upstream, so that a stalled upstream takes no connection from another."""

    def __init__(self, upstream: Upstream, *, connect_timeout: float, tls: ssl.SSLContext | None = None) -> None:
        """`connect_timeout` is in seconds and covers DNS, TCP and TLS. `tls` replaces the system trust store."""
        self._upstream, self._connect_timeout = upstream, connect_timeout
        self._tls = (tls or ssl.create_default_context()) if upstream.scheme == "https" else None
        self._idle: list[UpstreamConnection] = []
        self._busy: set[UpstreamConnection] = set()

    async def acquire(self, *, fresh: bool = False) -> UpstreamConnection:
        """The most recently used idle connection, or a new one. Raises UpstreamUnreachable or UpstreamTimeout."""
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
            # Connection refused, unknown name, untrusted certificate: the reason may name internal hosts, so it is not
            # shown.
            raise UpstreamUnreachable from None
        self._busy.add(connection)
        return connection

    def release(self, connection: UpstreamConnection) -> None:
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
