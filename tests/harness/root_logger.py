"""The root logger, taken for one test and given back."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bff.telemetry.logging import PINNED


@contextmanager
def taken_root_logger() -> Iterator[io.StringIO]:
    """A stream to configure it with; afterwards handlers and levels are what they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    pinned = {name: (logging.getLogger(name).level, logging.getLogger(name).handlers[:]) for name in PINNED}
    root.handlers.clear()
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    for name, (before, theirs) in pinned.items():
        logging.getLogger(name).setLevel(before)
        logging.getLogger(name).handlers[:] = theirs
