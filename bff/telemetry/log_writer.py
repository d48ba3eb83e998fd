"""Writes log lines from a separate thread, so that a stalled reader never blocks the event loop.

When a pipe is full, write(2) blocks until its reader continues: a log driver, a terminal, `| less`. Here only the
writer thread waits. Callers put lines into a queue bounded by bytes; lines that do not fit are dropped and counted
(`bff_log_records_dropped_total`), and one line reports their number when the pipe accepts data again.
"""

import io
import os
import select
import signal
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Literal, TypeAlias

from bff.telemetry.metrics import LOG_RECORDS_DROPPED
from bff.telemetry.redaction import LIMIT, escape, redact

MAX_QUEUED_BYTES: Final = 4 * 1024 * 1024  # bytes that wait for the reader, including the queue's own overhead
OVERHEAD: Final = 200  # bytes that one entry of the queue costs besides its text
FLUSH_TIMEOUT: Final = 3.0  # seconds at exit

_WAKE_UP: Final = "wake up"
_END: Final = "end"
# A line with the number of records dropped before it; an event to set when everything before it is written; or one of
# the commands.
_Entry: TypeAlias = tuple[int, bytes] | threading.Event | Literal["wake up", "end"]


def _plain_summary(count: int) -> str:
    return f"{count} log records dropped\n"


class LogWriter:
    """A text stream for `logging.StreamHandler` whose `write` never blocks.

    Each call is one record of whole lines. The lock is held for a few instructions and never during a system call. It
    is reentrant, so that a signal handler may log, and it is replaced in a forked child, which starts with an empty
    queue and its own thread: the parent writes what it had queued.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        limit: int = MAX_QUEUED_BYTES,
        flush_within: float = FLUSH_TIMEOUT,
        summary: Callable[[int], str] = _plain_summary,
    ) -> None:
        """`limit` in bytes; `flush_within` in seconds, for which `close` waits at most.

        `summary` formats the line that reports dropped records.
        """
        self._descriptor, self._limit = descriptor, limit
        self._flush_within, self._summary = flush_within, summary
        self._closed = self._torn = False
        self._start_over()
        _WRITERS.add(self)

    def _start_over(self) -> None:
        self._lock = threading.RLock()
        self._queue: SimpleQueue[_Entry] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Bytes and records. Each counter has one writer: the first two are changed by callers, under the lock, the
        # others by the writer thread.
        self._accepted = self._dropped = 0
        self._settled = self._reported = self._failed = 0

    def write(self, text: str) -> int:
        """Queues `text`, or counts it as dropped if the queue is full."""
        line = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._closed or not self._running():
                if not self._write_at_once(line):
                    LOG_RECORDS_DROPPED.add(1)
            elif self._accepted - self._settled + len(line) + OVERHEAD > self._limit:
                self._dropped += 1
                LOG_RECORDS_DROPPED.add(1)
                if self._queue.empty():
                    self._queue.put(_WAKE_UP)  # the writer may have checked for drops just before this one
            else:
                self._accepted += len(line) + OVERHEAD
                self._queue.put((self._dropped, line))
        return len(text)

    @property
    def descriptor(self) -> int:
        return self._descriptor

    def flush(self) -> None:
        """Does nothing: `logging.StreamHandler` calls it after every record, and it must not block."""

    def drain(self, within: float) -> bool:
        """Waits up to `within` seconds until everything queued before is written; returns whether it is."""
        with self._lock:
            if self._closed or self._thread is None:
                return True
            written = threading.Event()
            self._queue.put(written)
        return written.wait(within)

    def close(self) -> None:
        """Drains for at most `flush_within` seconds, and ends the thread.

        Later lines are written at once, if that does not block.
        """
        ends_at = time.monotonic() + self._flush_within
        self.drain(self._flush_within)
        with self._lock:
            self._closed = True
            self._queue.put(_END)
        if self._thread is not None:
            self._thread.join(max(0.0, ends_at - time.monotonic()))

    def _running(self) -> bool:
        """Starts the thread at the first line, and in a forked child; False if no thread can be started."""
        if self._thread is None:
            thread = threading.Thread(target=self._run, args=(self._queue,), name="log writer", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is shutting down, or the machine cannot start another thread
                return False
            self._thread = thread
        return True

    def _run(self, queue: SimpleQueue[_Entry]) -> None:
        # Signals are handled by the thread of the event loop.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            match queue.get():
                case (dropped_before, line):
                    self._report(dropped_before)
                    if not self._write(line):
                        self._failed += 1
                        LOG_RECORDS_DROPPED.add(1)
                    self._settled += len(line) + OVERHEAD
                case threading.Event() as written:
                    self._report(self._dropped)
                    written.set()
                case "wake up":
                    pass
                case "end":
                    return
            if queue.empty():
                self._report(self._dropped)

    def _report(self, dropped: int) -> None:
        """Writes the summary in place of the missing records, after the lines that preceded them."""
        if (count := dropped - self._reported + self._failed) and self._write(self._summary(count).encode()):
            self._reported, self._failed = dropped, 0

    def _write(self, line: bytes) -> bool:
        """Blocks as long as the reader does. False if the line could not be written: no reader, a full disk."""
        rest = whole = memoryview(b"\n" + line if self._torn else line)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # another process that shares this pipe made it non-blocking
                writable = select.poll()
                writable.register(self._descriptor, select.POLLOUT)
                writable.poll()
            except OSError:
                self._torn = self._torn or len(rest) < len(whole)
                return False
        self._torn = False
        return True

    def _write_at_once(self, line: bytes) -> bool:
        """Writes without the thread. A pipe that is reported writable accepts PIPE_BUF bytes without blocking."""
        writable = select.poll()
        writable.register(self._descriptor, select.POLLOUT)
        try:
            for start in range(0, len(line), select.PIPE_BUF):
                if not writable.poll(0):
                    return False
                os.write(self._descriptor, line[start : start + select.PIPE_BUF])
        except OSError:
            return False
        return True


class RedirectedStream(io.TextIOBase):
    """Replaces `sys.stdout` and `sys.stderr`: third-party output, by whole lines, redacted, to the writer.

    The interpreter prints tracebacks there (of a crash, a thread, a finalizer), which must not block either.
    """

    encoding = "utf-8"

    def __init__(self, writer: LogWriter) -> None:
        self._writer, self._line = writer, ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The descriptor, for code that passes its output to a child process."""
        return self._writer.descriptor

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            self._pass_on(line)
        if len(self._line) > LIMIT:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Writes an incomplete line. The interpreter calls it at exit."""
        if self._line:
            line, self._line = self._line, ""
            self._pass_on(line)

    def _pass_on(self, line: str) -> None:
        self._writer.write(escape(redact(line)) + "\n")


_WRITERS: Final[weakref.WeakSet[LogWriter]] = weakref.WeakSet()


def _in_forked_child() -> None:
    for writer in _WRITERS:
        writer._start_over()


os.register_at_fork(after_in_child=_in_forked_child)
