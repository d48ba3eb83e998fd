"""All writes of one SQLite database, on one thread: what waits is written together, and synced to the disk once.

Each operation runs in a savepoint of its own, so one that fails takes nothing else with it. Nobody hears of a success
before the COMMIT that made it durable. A caller that is cancelled takes nothing back: its operation runs all the same.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from bff.errors import StoreUnavailable
from bff.telemetry import metrics

ANSWER_TIMEOUT: Final = 5.0  # seconds; more than the 2 s a lock is waited for, less than any refresh lease
BATCH: Final = 128  # operations per COMMIT; more would make the first one wait for the last
WAITING: Final = 4096  # operations; beyond that the disk is not keeping up, and saying so is kinder than a queue

_T = TypeVar("_T")


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """The error's symbolic name is all that is told: its text may quote a statement."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    return StoreUnavailable(f"The session database answered {name}.", retry_after=1)


@dataclass(slots=True, eq=False)
class _Operation:
    run: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]"
    abandoned: bool = False
    result: Any = None
    error: BaseException | None = field(default=None)

    def resolve(self) -> None:
        """On the loop. A caller that has gone away has cancelled the future: there is nobody to tell."""
        if self.answer.done():
            return
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class GroupCommit:
    def __init__(self, connect: Callable[[], sqlite3.Connection], name: str) -> None:
        """`connect` is called on the thread, and again after it failed. It returns a connection in autocommit mode."""
        self._connect = connect
        self._queue: queue.SimpleQueue[_Operation | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        """Runs `operation` inside a transaction and returns its result once that is on the disk.

        Raises StoreUnavailable for every error of the database, and when there is no answer in `ANSWER_TIMEOUT`
        seconds.
        """
        try:
            return await self._run(operation)
        except StoreUnavailable:
            metrics.STORE_ERRORS.inc()
            raise

    async def _run(self, operation: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            raise StoreUnavailable("The session database is closed.")
        if self._queue.qsize() >= WAITING:
            raise StoreUnavailable("Too many writes wait for the session database.", retry_after=1)
        loop = asyncio.get_running_loop()
        waiting = _Operation(operation, loop, loop.create_future())
        self._queue.put(waiting)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                result: _T = await waiting.answer
                return result
        except TimeoutError:
            waiting.abandoned = True  # if it has not begun, it never will: the caller was told that it failed
            raise StoreUnavailable("The session database did not answer in time.", retry_after=1) from None

    async def close(self) -> None:
        """Writes what waits, then ends the thread."""
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
            try:
                if connection is None:
                    connection = self._connect()
                _write(connection, batch)
            except Exception as error:
                for operation in batch:
                    operation.error = _store_error(error)
                _close(connection)  # the next batch starts on a fresh one
                connection = None
            _answer(batch)
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


def _write(connection: sqlite3.Connection, batch: list[_Operation]) -> None:
    if not batch:
        return
    connection.execute("BEGIN IMMEDIATE")
    for operation in batch:
        connection.execute("SAVEPOINT operation")
        try:
            operation.result = operation.run(connection)
        except Exception as error:
            if not connection.in_transaction:
                raise  # a full disk or an I/O error has rolled back all of it, so none of the batch happened
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
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve_all, mine)


def _resolve_all(operations: list[_Operation]) -> None:
    for operation in operations:
        operation.resolve()
