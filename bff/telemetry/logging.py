"""Logging: one line per event, as JSON or text, in UTC, redacted and rate-limited.

Owns the single handler, its formats, and the levels of third-party loggers. Other packages use the standard library and
pass fields: `logger.info("signed in", extra={"session": session.fingerprint})`.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final, Literal, Protocol, TextIO, TypeAlias, cast

from bff.telemetry import tracing
from bff.telemetry.log_writer import FLUSH_TIMEOUT, LogWriter, RedirectedStream
from bff.telemetry.redaction import escape, redact, redact_field

# At DEBUG these print headers, bodies or whole commands, so their levels are fixed, whatever the root level is.
PINNED: Final[Mapping[str, int]] = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "hpack": logging.WARNING,
    "redis": logging.WARNING,
    "websockets": logging.WARNING,
    "urllib3": logging.WARNING,
    "opentelemetry": logging.WARNING,
    # would print a malformed OTEL_EXPORTER_OTLP_HEADERS, which contains a key
    "opentelemetry.util.re": logging.CRITICAL + 1,
    "asyncio": logging.WARNING,
    "multipart": logging.WARNING,
    "python_multipart": logging.WARNING,
    # "Started server process" and the like, once for each listener: `bff.server.serve` logs what matters of it
    "uvicorn": logging.WARNING,
    "uvicorn.error": logging.WARNING,
    "uvicorn.asgi": logging.WARNING,
    "uvicorn.websocket": logging.WARNING,  # would print the query of every handshake
    "uvicorn.access": logging.CRITICAL + 1,  # would print the callback's query
}
LogFormat: TypeAlias = Literal["auto", "json", "text"]

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_OURS: Final = frozenset({"time", "level", "logger", "message", "exception"})


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The `extra` fields, each safe to show: numbers and booleans as they are, the rest as text.

    They are preceded by the trace and correlation ids; work without a request has none.
    """
    trace = tracing.current()
    ids = {"trace_id": trace.trace_id, "correlation_id": trace.correlation_id} if trace is not None else {}
    return ids | {
        f"{name}_" if name in _OURS else name: _field(name, value)
        for name, value in vars(record).items()
        if name not in _STANDARD
    }


def _field(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return escape(redact_field(name, str(value)))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class JsonFormatter(logging.Formatter):
    """One JSON object in one line: time, level, logger, message, then the fields, then the exception."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escape(redact(record.getMessage())),
            **fields(record),
        }
        if record.exc_info:
            line["exception"] = escape(redact(self.formatException(record.exc_info)))
        return json.dumps(line, allow_nan=True)


class TextFormatter(logging.Formatter):
    """For humans: the same fields in one line, without those that have no value; lines of an exception are indented,
    so that none can imitate a record.
    """

    HIDDEN: ClassVar[Collection[str]] = ()

    def format(self, record: logging.LogRecord) -> str:
        shown = {name: value for name, value in fields(record).items() if value is not None and name not in self.HIDDEN}
        pairs = "".join(f" {name}={value}" for name, value in shown.items())
        message = escape(redact(record.getMessage()))
        return self._line(record, message, pairs) + self._exception(record)

    def _line(self, record: logging.LogRecord, message: str, pairs: str) -> str:
        return f"{_time(record)} {record.levelname.lower():8} {record.name}: {message}{pairs}"

    def _exception(self, record: logging.LogRecord) -> str:
        if not record.exc_info:
            return ""
        exception = redact(self.formatException(record.exc_info))
        return "".join(f"\n    | {escape(part)}" for part in exception.split("\n"))


class TerminalFormatter(TextFormatter):
    """For a terminal: the time of day there, the level in colour, the fields dim. The trace id is of use only with a
    collector, so it is left out.
    """

    HIDDEN = ("trace_id",)
    _COLOURS: Final = {logging.DEBUG: 2, logging.INFO: 32, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31}

    def _line(self, record: logging.LogRecord, message: str, pairs: str) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        colour = self._COLOURS.get(record.levelno, 0)
        dim = f"\x1b[2m{pairs}\x1b[0m" if pairs else ""
        return f"{clock} \x1b[{colour}m{record.levelname.lower():8}\x1b[0m {message}{dim}"


@dataclass(slots=True)
class _Window:
    """How often one message occurred in the current window."""

    ends_at: float
    level: int
    passed: int = 0
    suppressed: int = 0


class LogStream(Protocol):
    """The handler's output for whole lines: a text file, or a `LogWriter`."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...


class BoundedHandler(logging.StreamHandler[LogStream]):
    """Passes at most `burst` lines of one warning per `window` seconds, then logs how many were suppressed.

    A warning is identified by logger and message template: clients cannot fill the disk by varying its fields. INFO is
    never suppressed: those lines are the audit trail, and occur only after a success.
    """

    KINDS: Final = 512  # templates are constants; beyond this number they share one window

    def __init__(
        self, stream: LogStream, *, burst: int = 50, window: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(stream)
        self._burst, self._window, self._clock = burst, window, clock
        self._windows: dict[tuple[str, str], _Window] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock()
        self._log_suppressed(now)
        if record.levelno >= logging.WARNING and self._suppress(record, now):
            return
        super().emit(record)

    def _suppress(self, record: logging.LogRecord, now: float) -> bool:
        key = (record.name, str(record.msg))
        if key not in self._windows and len(self._windows) >= self.KINDS:
            key = ("bff.telemetry.logging", "other messages")
        window = self._windows.setdefault(key, _Window(now + self._window, record.levelno))
        if window.passed < self._burst:
            window.passed += 1
            return False
        window.suppressed += 1
        return True

    def _log_suppressed(self, now: float) -> None:
        """Closes expired windows; each that suppressed lines logs one summary."""
        over = [key for key, window in self._windows.items() if window.ends_at <= now]
        for key in over:
            window = self._windows.pop(key)
            if window.suppressed:
                facts = {"suppressed": window.suppressed, "template": key[1], "window_seconds": self._window}
                summary = logging.LogRecord(
                    key[0], window.level, "", 0, "further lines of this message were suppressed", None, None
                )
                vars(summary).update(facts)
                super().emit(summary)

    def close(self) -> None:
        self.acquire()
        try:
            self._log_suppressed(float("inf"))
        finally:
            self.release()
        if isinstance(self.stream, LogWriter):
            self.stream.close()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """The standard library would print the message and its arguments, which may contain a secret."""
        error_type = sys.exc_info()[0]
        sys.stderr.write(
            f"a log line of {record.name} could not be written: {error_type.__name__ if error_type else 'unknown'}\n"
        )


def formatter_for(
    log_format: LogFormat, *, terminal: bool, environ: Mapping[str, str] = os.environ
) -> logging.Formatter:
    """`auto` is text on a terminal, and JSON elsewhere. Text on a terminal is coloured unless NO_COLOR is set."""
    if log_format == "json" or (log_format == "auto" and not terminal):
        return JsonFormatter()
    coloured = terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
    return TerminalFormatter() if coloured else TextFormatter()


def stderr_without_blocking(log_format: LogFormat, flush_within: float = FLUSH_TIMEOUT) -> LogWriter:
    """A stream for `configure_logging` that writes to standard error from a separate thread, for `bff serve`.

    From now on all output of Python code takes the same way, including standard output. At exit the handler waits for
    at most `flush_within` seconds until everything is written.
    """
    formatter = formatter_for(log_format, terminal=sys.stderr.isatty())

    def summary(count: int) -> str:
        record = logging.LogRecord(
            "bff.telemetry.logging", logging.WARNING, "", 0, "%d log records dropped", (count,), None
        )
        record.dropped = count
        return formatter.format(record) + "\n"

    writer = LogWriter(sys.stderr.fileno(), flush_within=flush_within, summary=summary)
    sys.stdout = cast("TextIO", RedirectedStream(writer))
    sys.stderr = cast("TextIO", RedirectedStream(writer))
    return writer


def _of_worker(number: int, record: logging.LogRecord) -> bool:
    record.worker = number
    return True


def configure_logging(
    level: Literal["debug", "info", "warning", "error"],
    log_format: LogFormat,
    stream: LogStream | None = None,
    *,
    worker: int | None = None,
) -> None:
    """Makes this the only handler of the root logger (stderr by default), and sets the fixed levels of PINNED.

    `worker`: the number of this process, as a field of each record.
    """
    handler = BoundedHandler(stream or sys.stderr)
    if worker is not None:
        handler.addFilter(partial(_of_worker, worker))
    handler.setFormatter(formatter_for(log_format, terminal=os.isatty(2)))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, pinned in PINNED.items():
        logger = logging.getLogger(name)
        logger.setLevel(max(pinned, root.level))
        logger.handlers.clear()
        logger.propagate = True
    # The audit trail has a fixed level, so that no setting can disable it.
    logging.getLogger("bff.audit").setLevel(logging.INFO)
    logging.getLogger("bff.access").setLevel(logging.INFO)  # the setting BFF_ACCESS_LOG alone decides about it
    logging.captureWarnings(capture=True)
