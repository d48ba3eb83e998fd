"""Group commit: all writes of one SQLite database on one thread, written and synced together.

Each operation has its own savepoint, so a failure does not affect the others. A result is returned only after COMMIT
made it durable. Cancelling a caller does not cancel its operation.

Several processes may write to one file, each with a group commit of its own. SQLite's own wait for the lock sleeps
longer and longer, up to 100 ms, so a process that writes without a pause starves the others; here every attempt comes
after a short random pause.
"""

import asyncio
import contextlib
import queue
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bff.errors import StoreUnavailable
from bff.storage.timeouts import SqliteTimeouts
from bff.telemetry import metrics

BATCH: Final = 128  # operations per COMMIT; more would delay the first one
# Operations. Beyond that the disk is too slow, and callers get an error instead of a longer queue.
QUEUE_LIMIT: Final = 4096
_LOCK_PAUSE: Final = (0.0002, 0.001)  # seconds between two attempts to begin while another process writes
# Of the operating system: the module's state belongs to the application, and forked processes would share another one.
_CHANCE: Final = random.SystemRandom()

_T = TypeVar("_T")


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """Only the error's symbolic name is shown: its text may quote a statement."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return StoreUnavailable(f"The session database answered {name}.", retry_after=1)


@dataclass(slots=True, eq=False)
class _Operation:
    run: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"
    abandoned: bool = field(init=False, default=False)
    result: Any = field(init=False, default=None)
    error: BaseException | None = field(init=False, default=None)

    def resolve(self) -> None:
        """Runs on the event loop. A cancelled caller has cancelled the future, so there is nothing to set."""
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class GroupCommit:
    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        name: str,
        timeouts: SqliteTimeouts,
        committed: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """`connect` is called on the thread, and again after a failure. It returns a connection in autocommit mode,
        whose own timeout is 0: `begin` waits. `committed` is called on the thread after each commit and its answers,
        with the number of rows that it changed.
        """
        self._connect, self._timeouts, self._committed = connect, timeouts, committed
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        """Runs `operation` inside a transaction and returns its result once it is durable.

        Raises StoreUnavailable for every database error, and when there is no result in time.
        """
        try:
            return await self._run(operation)
        except StoreUnavailable:
            metrics.STORE_ERRORS.inc()
            raise

    async def _run(self, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            raise StoreUnavailable("The session database is closed.")
        if self._queue.qsize() >= QUEUE_LIMIT:
            raise StoreUnavailable("Too many writes wait for the session database.", retry_after=1)
        loop = asyncio.get_running_loop()
        waiting = _Operation(operation, loop, loop.create_future())
        self._queue.put(waiting)
        try:
            async with asyncio.timeout(self._timeouts.answer):
                result: _T = await waiting.answer
                return result
        except TimeoutError:
            # An operation that has not started is skipped, because its caller has already received an error.
            waiting.abandoned = True
            raise StoreUnavailable("The session database did not answer in time.", retry_after=1) from None

    async def close(self) -> None:
        """Writes pending operations, then ends the thread."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- on the thread ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        last = False
        while not last:
            batch, last = self._next_batch()
            changed = 0
            try:
                if connection is None:
                    connection = self._connect()
                before = connection.total_changes
                _write(connection, batch, self._timeouts.busy)
                changed = connection.total_changes - before
            except Exception as error:
                for operation in batch:
                    operation.error = _store_error(error)
                _close(connection)  # the next batch starts on a fresh one
                connection = None
            _answer(batch)
            self._committed(changed)
        _close(connection)

    def _next_batch(self) -> tuple[list[_Operation], bool]:
        batch: list[_Operation] = []
        while len(batch) < BATCH:
            try:
                operation = self._queue.get() if not batch else self._queue.get_nowait()
            except queue.Empty:
                break
            if operation is None:
                return batch, True
            if not operation.abandoned:
                batch.append(operation)
        return batch, False


def begin(connection: sqlite3.Connection, busy_timeout: float) -> None:
    """Begins a transaction that writes, once no other process does.

    Raises sqlite3.OperationalError (SQLITE_BUSY) after `busy_timeout` seconds.
    """
    ends_at = time.monotonic() + busy_timeout
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= ends_at:
                raise
            time.sleep(_CHANCE.uniform(*_LOCK_PAUSE))
        else:
            return


def _write(connection: sqlite3.Connection, batch: list[_Operation], busy_timeout: float) -> None:
    if not batch:
        return
    begin(connection, busy_timeout)
    for operation in batch:
        connection.execute("SAVEPOINT operation")
        try:
            operation.result = operation.run(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # a full disk or an I/O error rolled back the whole transaction, so nothing of the batch happened
            connection.execute("ROLLBACK TO operation")
            operation.error = unavailable(error) if isinstance(error, sqlite3.Error) else error
        connection.execute("RELEASE operation")
    connection.execute("COMMIT")


def _store_error(error: Exception) -> StoreUnavailable:
    return unavailable(error) if isinstance(error, sqlite3.Error) else StoreUnavailable(type(error).__name__)


def _close(connection: sqlite3.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(sqlite3.Error):
            connection.close()  # rolls back what was not committed


def _answer(batch: list[_Operation]) -> None:
    for loop in {operation.loop for operation in batch}:
        mine = [operation for operation in batch if operation.loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop is closed: no caller is waiting
            loop.call_soon_threadsafe(_resolve_all, mine)


def _resolve_all(operations: list[_Operation]) -> None:
    for operation in operations:
        operation.resolve()
