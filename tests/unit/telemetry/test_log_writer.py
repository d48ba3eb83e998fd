"""A log pipe whose reader has stopped: callers do not wait, excess lines are dropped and counted, none else is lost."""

import os
import re
import threading
from collections.abc import Callable
from typing import Any

from bff.telemetry.log_writer import LogWriter
from bff.telemetry.metrics import LOG_RECORDS_DROPPED
from tests.harness.pipes import SMALLEST, read_all, small_pipe

PATIENCE = 60  # seconds; fails a test that hangs


def dropped() -> int:
    (family,) = LOG_RECORDS_DROPPED.collect()
    return int(family.samples[0].value)


def without_waiting(call: Callable[[], Any]) -> None:
    """Fails where `call` blocks, instead of hanging the tests."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it waits for the reader"


def reading(reader: int) -> tuple[threading.Thread, list[str]]:
    """Starts a thread that reads the pipe to its end."""
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(read_all(reader)), daemon=True)
    thread.start()
    return thread, seen


def test_callers_do_not_wait_and_one_line_reports_what_is_missing() -> None:
    before = dropped()
    with small_pipe() as (reader, end):
        writer = LogWriter(end, limit=4 * SMALLEST)
        lines = [f"line {number:04} {'.' * 90}\n" for number in range(1000)]
        without_waiting(lambda: [writer.write(line) for line in lines])
        missing = dropped() - before
        assert 900 < missing < 1000
        thread, seen = reading(reader)
        assert writer.drain(PATIENCE)
        writer.write("it flows again\n")
        assert writer.drain(PATIENCE)
        writer.close()
        os.close(end)
        thread.join(PATIENCE)
    kept = "".join(lines[: 1000 - missing])
    assert seen == [f"{kept}{missing} log records dropped\nit flows again\n"], "in order, and reported once"


def test_dropped_records_are_reported_even_if_nothing_follows() -> None:
    with small_pipe() as (reader, end):
        writer = LogWriter(end, limit=2 * SMALLEST)
        for _ in range(100):
            writer.write("." * 200 + "\n")
        seen = b""
        while not re.search(rb"\d+ log records dropped\n", seen):
            seen += os.read(reader, SMALLEST)
        writer.close()


def test_records_for_a_reader_that_has_gone_are_counted() -> None:
    before = dropped()
    with small_pipe() as (reader, end):
        os.close(reader)
        writer = LogWriter(end, flush_within=PATIENCE)
        for _ in range(3):
            writer.write("x\n")
        assert writer.drain(PATIENCE)
        assert dropped() - before == 3
        writer.close()


def test_after_it_was_closed_it_writes_at_once_without_waiting() -> None:
    with small_pipe() as (reader, end):
        writer = LogWriter(end, flush_within=PATIENCE)
        writer.write("queued\n")
        writer.close()
        assert os.read(reader, 100) == b"queued\n"
        writer.write("at once\n")
        assert os.read(reader, 100) == b"at once\n"
        without_waiting(lambda: [writer.write("." * 999 + "\n") for _ in range(100)])
