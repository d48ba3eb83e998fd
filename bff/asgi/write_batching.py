"""Write batching: data written during one turn of the event loop is sent together, the first piece at once, the rest at
the end of the turn. Writing to a sleeping peer wakes it, which costs more than the write itself if the peer is on
another core, most of all in a virtual machine. When several pieces are written in succession, the first wakes the peer
and the rest find it awake; a single piece is not delayed (measurements: docs/decisions/0013-write-batching.md). Use it
only for the last write on a transport for now: direct writes overtake it. Call `flush` before a direct write or before
closing a transport.
"""

import asyncio


class WriteBatch:
    """One per application, for its connections to clients and to upstreams, which share one event loop."""

    def __init__(self) -> None:
        self._pending: list[tuple[asyncio.Transport, bytes]] = []
        self._in_turn = False  # something was written in this turn

    def write(self, transport: asyncio.Transport, data: bytes) -> None:
        if self._in_turn:
            self._pending.append((transport, data))
            return
        self._in_turn = True
        asyncio.get_running_loop().call_soon(self._end_turn)
        transport.write(data)

    def _end_turn(self) -> None:
        self._in_turn = False
        self.flush()

    def flush(self) -> None:
        """Writes pending data in order. A transport that closed meanwhile gets nothing."""
        pending, self._pending = self._pending, []
        for transport, data in pending:
            if not transport.is_closing():
                transport.write(data)
