"""Everything that the commands print. Results go to stdout; errors and progress go to stderr.

Text is escaped, because setting names, labels and values may hold control characters that would act on the terminal.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import click

from bff.errors import ConfigurationError
from bff.telemetry.redaction import escape


def line(text: str, *, flush: bool = False) -> None:
    print(escape(text), flush=flush)


def lines(texts: Iterable[str]) -> None:
    for text in texts:
        line(text)


def document(content: Mapping[str, Any]) -> None:
    """JSON for programs. Without colours and escapes of its own."""
    print(json.dumps(content, indent=2))


def table(rows: Sequence[Sequence[str]]) -> None:
    """Aligns all columns but the last."""
    columns = list(zip(*rows, strict=True))[:-1]
    widths = [max(map(len, column)) for column in columns]
    for row in rows:
        *cells, last = row
        line("  ".join([*(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)), last]))


def progress(text: str) -> None:
    print(escape(text), file=sys.stderr)


class Progress:
    """Prints at most one line a second to a terminal, and one in ten seconds to anything else."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._interval = monotonic, 1.0 if sys.stderr.isatty() else 10.0
        self._next = monotonic() + self._interval

    def __call__(self, text: str) -> None:
        now = self._monotonic()
        if now >= self._next:
            self._next = now + self._interval
            progress(text)


class ProgressBar:
    """A bar on a terminal, drawn ten times a second at most; for anything else a line in ten seconds."""

    WIDTH: Final = 40  # characters

    def __init__(self, noun: str, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._noun, self._monotonic, self._begun = noun, monotonic, monotonic()
        self._drawn_at: float | None = None
        self._lines = None if sys.stderr.isatty() else Progress(monotonic)

    def __call__(self, done: int, total: int) -> None:
        now = self._monotonic()
        rate = done / max(now - self._begun, 0.001)
        text = f"{done:,} of {total:,} {self._noun}, {rate:,.0f} a second"
        if self._lines is not None:
            self._lines(text)
        elif self._drawn_at is None or now - self._drawn_at >= 0.1 or done == total:
            filled = self.WIDTH * done // max(total, 1)
            print(f"\r[{'#' * filled:{self.WIDTH}}] {text}\x1b[K", end="", file=sys.stderr, flush=True)
            self._drawn_at = now

    def close(self) -> None:
        """Ends the line of the bar, for what is printed next."""
        if self._drawn_at is not None:
            print(file=sys.stderr)
            self._drawn_at = None


def progress_beside_results() -> Callable[[str], None]:
    """`Progress`, but none on a terminal where the results appear themselves."""
    return _discarded if sys.stdout.isatty() else Progress()


def _discarded(text: str) -> None:
    """Prints nothing."""


def problem(text: str, fix: str) -> None:
    progress(f"{text} {fix}")


def configuration_error(error: ConfigurationError) -> None:
    """One line for each problem: the setting, what is wrong, and how to fix it."""
    problems = problems_of(error)
    noun = "problem" if len(problems) == 1 else "problems"
    progress(f"The configuration is wrong ({len(problems)} {noun}):")
    for problem in problems:
        progress(f"  {problem.setting}: {problem.problem} {problem.fix}")


def problems_of(error: ConfigurationError) -> Sequence[ConfigurationError]:
    from bff.config.sources import ConfigurationErrors  # not before an error: `bff --help` reads no settings

    return error.problems if isinstance(error, ConfigurationErrors) else (error,)


def usage_error(error: click.UsageError) -> None:
    """The usage of the command, and what is wrong with the arguments; the whole help if there are none."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        print(error.ctx.get_help(), file=sys.stderr)
        return
    if error.ctx is not None:
        print(error.ctx.get_usage(), file=sys.stderr)
        print(f"Try '{error.ctx.command_path} --help' for help.", file=sys.stderr)
    progress(f"Error: {error.format_message()}")


def confirm(question: str) -> bool:
    """Asks on the terminal. Anything but yes means no."""
    print(escape(f"{question} [y/N] "), end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def discard() -> None:
    """Discards further output: the reader of the pipe has gone, and the interpreter would fail when it flushes."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
