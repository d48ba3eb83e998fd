"""What is written during one turn of the event loop leaves together: the first at once, the rest when the turn is over.

A write to a peer that sleeps wakes it, and to wake another core costs more than the write, in a virtual machine most of
all. Written one right after the other, the first wakes the peer and the rest find it awake; where there is only one, it
waits for nothing. Decision 0014 has what was measured.

Only for what is the last that is written on its transport for now: what is written past the outbox overtakes it.
Whoever has to write past it, or to close a transport, says `flush` first.
"""

import asyncio
from typing import Final
from weakref import WeakKeyDictionary


class WriteBatch:
    """One for an event loop; from `write_batch`."""

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
        """Writes what is waiting, in the order in which it came. A transport that closed meanwhile gets nothing."""
        pending, self._pending = self._pending, []
        for transport, data in pending:
            if not transport.is_closing():
                transport.write(data)


_BATCHES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, WriteBatch]] = WeakKeyDictionary()


def write_batch(loop: asyncio.AbstractEventLoop) -> WriteBatch:
    """That of this event loop."""
    batch = _BATCHES.get(loop)
    if batch is None:
        batch = _BATCHES[loop] = WriteBatch()
    return batch
