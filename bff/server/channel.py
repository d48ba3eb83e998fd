"""The connection between the supervisor and one worker: JSON objects, one a line, over a pair of sockets.

Both processes run the same version, except while a roll replaces the workers: unknown messages and fields are ignored.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

Message: TypeAlias = Mapping[str, Any]

logger = logging.getLogger(__name__)

LINE_LIMIT: Final = 8 << 20  # bytes of one message; a worker's metrics are 14,000, and 1,100 for each route at most
QUEUE_LIMIT: Final = 1 << 20  # bytes that wait for a process that does not read


class Channel:
    """One end. Messages to a process that does not read are dropped beyond `QUEUE_LIMIT`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, end: socket.socket) -> "Channel":
        """`end` belongs to the channel from now on."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end, limit=LINE_LIMIT))

    def send(self, message: Message) -> bool:
        """Whether it was queued. One over `LINE_LIMIT` is not: it would end the channel."""
        transport = self._writer.transport
        if transport.is_closing() or transport.get_write_buffer_size() > QUEUE_LIMIT:
            return False
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_LIMIT:
            logger.error("a message between supervisor and worker is too long", extra={"bytes": len(line)})
            return False
        self._writer.write(line)
        return True

    async def receive(self, handle: Callable[[Message], Awaitable[None] | None]) -> None:
        """Calls `handle` with each message, until the other process closes the channel or ends."""
        while True:
            try:
                line = await self._reader.readline()
            except (ValueError, ConnectionError):  # too long; or the process was killed with unread data
                return
            if not line.endswith(b"\n"):
                return
            handled = handle(json.loads(line))
            if handled is not None:
                await handled

    async def close(self) -> None:
        """Sends what is queued, unless the other process has ended."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return
