"""A pipe whose reader has stopped, as a stalled log driver leaves it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from typing import Final

SMALLEST: Final = 4096  # bytes; the kernel gives a pipe one page at least


@contextlib.contextmanager
def small_pipe(*, full: bool = False) -> Iterator[tuple[int, int]]:
    """Its ends, to read and to write; `full` of the letter x. Both are closed at the end, if they are still open."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, SMALLEST)
    if full:
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x" * SMALLEST)
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
    try:
        yield reader, writer
    finally:
        for end in (reader, writer):
            with contextlib.suppress(OSError):  # the test has closed it
                os.close(end)


def read_all(reader: int) -> str:
    """Until every holder of the other end has closed it."""
    with open(reader, "rb", closefd=False) as file:
        return file.read().decode()


def lines_of(reader: int) -> Iterator[str]:
    """Each line as it comes, until every holder of the other end has closed it."""
    with open(reader, encoding="utf-8", closefd=False) as file:
        yield from file
