"""The root logger, borrowed for one test."""

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
    configured = [logging.getLogger(name) for name in (*PINNED, "bff.audit", "bff.access")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in configured]
    root.handlers.clear()
    try:
        yield io.StringIO()
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        for logger, own_level, own_handlers in before:
            logger.setLevel(own_level)
            logger.handlers[:] = own_handlers
