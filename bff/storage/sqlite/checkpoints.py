"""Checkpoints: what the write-ahead log has is copied into the database, on a thread and connection of their own.

A checkpoint by the connection that writes would hold up the writes that come after it: hundreds of pages that lie
anywhere in the file, and two syncs. Beside that connection it holds up no read and no write (sqlite.org/wal.html
section 2.2, PASSIVE). If commits follow each other so closely that the log never starts again from its beginning, the
connection that writes has to do its own checkpoint, of the few pages that are missing (`database.LOG_LIMIT`).
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

# Rows changed by this process, each of which is a page or two.
ROWS: Final = 100


class Checkpoints:
    """`count` runs on the thread that writes, everything else on the event loop."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], name: str, *, rows: int = ROWS) -> None:
        """`connect` is called on the thread. A checkpoint follows when `rows` rows have changed since the last one."""
        self._connect, self._rows = connect, rows
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._connection: sqlite3.Connection | None = None
        self._running: Future[None] | None = None
        self._changed = 0

    def count(self, rows: int) -> None:
        """Counts committed rows, and begins a checkpoint when it is time for one and none is running."""
        self._changed += rows
        if self._changed >= self._rows and (self._running is None or self._running.done()):
            self._changed = 0
            with contextlib.suppress(RuntimeError):  # closed: the last connection of all copies the whole log
                self._running = self._executor.submit(self._copy)

    async def finish(self) -> None:
        """Waits for the checkpoint that is running, if any."""
        if self._running is not None:
            await asyncio.wrap_future(self._running)

    async def close(self) -> None:
        """Closing again does nothing."""
        await asyncio.to_thread(self._executor.shutdown)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _copy(self) -> None:
        """An error is that of the disk, which the next write reports."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
