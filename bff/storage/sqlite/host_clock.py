"""The clock of a local store: the wall clock at start, advanced by a monotonic clock.

It never steps back while a process lives, so a corrected wall clock neither extends a lease nor ends a session. On
Linux it includes suspend time (CLOCK_BOOTTIME); elsewhere it is the monotonic clock. Both are the same for all
processes of a machine, and all that use one database share the start too: two processes that started before and after a
correction of the wall clock would otherwise disagree about a lease.
"""

import contextlib
import errno
import fcntl
import os
import stat
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bff.errors import ConfigurationError, StoreUnavailable

_ORIGIN: Final = struct.Struct("<d")  # the content of the clock file
_ATTEMPT_PAUSE: Final = 0.001  # seconds


def _open_own(path: Path, database: Path) -> int:
    """Opens or creates the file, for the owner of the database. Raises OSError, also for a link.

    An operator's command may run as root in a folder of the service's user. It must not lock the service out, so the
    file becomes the service's, as SQLite's own files do; nor change a file that the service has linked there.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            raise OSError(errno.EMLINK, "it is not a file with this name alone")
        if os.geteuid() == 0:
            owner = database.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
    except BaseException:
        os.close(file)
        raise
    return file


def _elapsed() -> Callable[[], float]:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if boottime is None:
        return time.monotonic
    return partial(time.clock_gettime, boottime)


_since_boot: Final = _elapsed()


class HostClock:
    """Seconds since the epoch, monotonic, and the same in every process that has the same database open."""

    def __init__(self, database: Path, *, timeout: float, wall_clock: Callable[[], float] = time.time) -> None:
        """Opens the file beside the existing `database` that has the start.

        The first process that opens it writes the start there, and a lock on the file shows that it is in use; the lock
        ends with the process, however that ends. Raises ConfigurationError if the file cannot be opened, and
        StoreUnavailable if another process is in the middle of this step for `timeout` seconds.
        """
        path = database.with_name(f"{database.name}-clock")
        try:
            self._file = _open_own(path, database)
        except OSError as error:
            problem = f"{path} can't be opened: {error.strerror}."
            raise ConfigurationError("BFF_STORE", problem, "Name a writable file.") from None
        try:
            self._origin = self._shared_origin(timeout, wall_clock)
        except BaseException:
            os.close(self._file)
            raise

    def __call__(self) -> float:
        return self._origin + _since_boot()

    def close(self) -> None:
        """Closing again does nothing: the number of the closed file may be another file's by then."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _shared_origin(self, timeout: float, wall_clock: Callable[[], float]) -> float:
        ends_at = time.monotonic() + timeout
        while True:
            if self._lock(fcntl.LOCK_EX):  # no other process uses the database
                origin = wall_clock() - _since_boot()
                os.pwrite(self._file, _ORIGIN.pack(origin), 0)
                fcntl.flock(self._file, fcntl.LOCK_SH)
                return origin
            if self._lock(fcntl.LOCK_SH) and len(content := os.pread(self._file, _ORIGIN.size, 0)) == _ORIGIN.size:
                return float(_ORIGIN.unpack(content)[0])
            if time.monotonic() >= ends_at:
                raise StoreUnavailable("The clock file of the session database is locked.", retry_after=1)
            time.sleep(_ATTEMPT_PAUSE)

    def _lock(self, operation: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self._file, operation | fcntl.LOCK_NB)
            return True
        return False
