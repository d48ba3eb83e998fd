"""Which format a log has, and how the text format shows a record."""

import logging
from typing import Any

import pytest

from bff.telemetry.logging import JsonFormatter, TerminalFormatter, TextFormatter, formatter_for


def record(level: int = logging.WARNING, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("bff.web", level, "", 0, "request failed", None, None)
    vars(made).update(fields)
    return made


@pytest.mark.parametrize(
    ("log_format", "terminal", "environ", "expected"),
    [
        ("auto", False, {}, JsonFormatter),
        ("auto", True, {}, TerminalFormatter),
        ("auto", True, {"NO_COLOR": "1"}, TextFormatter),
        ("auto", True, {"TERM": "dumb"}, TextFormatter),
        ("json", True, {}, JsonFormatter),
        ("text", False, {}, TextFormatter),
        ("text", True, {}, TerminalFormatter),
        ("text", True, {"NO_COLOR": ""}, TerminalFormatter),  # no-color.org: an empty value counts as unset
    ],
)
def test_the_format_follows_the_setting_then_the_terminal(
    log_format: Any, terminal: bool, environ: dict[str, str], expected: type[logging.Formatter]
) -> None:
    assert type(formatter_for(log_format, terminal=terminal, environ=environ)) is expected


def test_text_leaves_out_what_has_no_value() -> None:
    line = TextFormatter().format(record(why=None, status=401, late=False))
    assert line.endswith("warning  bff.web: request failed status=401 late=False")


def test_a_terminal_gets_colour_and_no_trace_id() -> None:
    line = TerminalFormatter().format(record(trace_id="0af7", status=503))
    assert line[8:] == " \x1b[33mwarning \x1b[0m request failed\x1b[2m status=503\x1b[0m"
    assert TerminalFormatter().format(record())[8:] == " \x1b[33mwarning \x1b[0m request failed"


def test_text_from_outside_cannot_colour_or_move_on_a_terminal() -> None:
    line = TerminalFormatter().format(record(path="\x1b[2J\nforged"))
    assert "\x1b[2J" not in line
    assert "\n" not in line
