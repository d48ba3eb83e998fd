"""Write batching: data written during one turn of the event loop is sent together, the first piece at once, the rest at
the end of the turn. Writing to a sleeping peer wakes it, which costs more than the write itself if the peer is on
another core, most of all in a virtual machine. When several pieces are written in succession, the first wakes the peer
and the rest find it awake; a single piece is not delayed. Decision 13 has the measurements. Use it only for the last
write on a transport for now: direct writes overtake it. Call `flush` before a direct write or before closing a
transport.
"""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary


class WriteBatch:
    """One per event loop; created by `write_batch`."""

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


_BATCHES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, WriteBatch]] = WeakKeyDictionary()


def write_batch(loop: asyncio.AbstractEventLoop) -> WriteBatch:
    """The write batch of this event loop."""
    batch = _BATCHES.get(loop)
    if batch is None:
        batch = _BATCHES[loop] = WriteBatch()
    return batch
