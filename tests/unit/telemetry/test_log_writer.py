"""A log pipe whose reader has stopped: callers do not wait, excess lines are dropped and counted, none else is lost."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bff.telemetry.log_writer import LogWriter
from bff.telemetry.metrics import LOG_RECORDS_DROPPED
from tests.harness.pipes import SMALLEST, read_all, small_pipe
from tests.harness.places import ROOT

PATIENCE = 60  # seconds; a limit that fails a test, not something to wait for


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
        while not re.search(rb"\d+ log records dropped\n", seen):  # a test that hangs has failed
            seen += os.read(reader, SMALLEST)
        writer.close()


def test_a_reader_that_has_gone_is_no_error_and_is_counted() -> None:
    before = dropped()
    with small_pipe() as (reader, end):
        os.close(reader)
        writer = LogWriter(end, flush_within=PATIENCE)
        for _ in range(3):
            writer.write("x\n")
        assert writer.drain(PATIENCE)
        assert dropped() - before == 3
        writer.close()


def test_a_line_that_was_cut_by_an_error_does_not_run_into_the_next(tmp_path: Path) -> None:
    """A file that may not grow, as on a full disk; later it may again."""
    program = """
import os, resource, signal, sys
from bff.telemetry.log_writer import LogWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
writer = LogWriter(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), flush_within=60)
writer.write("first\\n"); writer.write("second\\n"); writer.write("third\\n")
assert writer.drain(60)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.write("fourth\\n")
writer.close()
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "log")], cwd=ROOT, check=True, timeout=PATIENCE)
    assert (tmp_path / "log").read_text() == "first\nseco\n2 log records dropped\nfourth\n"


def test_after_its_end_it_writes_at_once_and_still_never_waits() -> None:
    with small_pipe() as (reader, end):
        writer = LogWriter(end, flush_within=PATIENCE)
        writer.write("queued\n")
        writer.close()
        assert os.read(reader, 100) == b"queued\n"
        writer.write("at once\n")
        assert os.read(reader, 100) == b"at once\n"
        without_waiting(lambda: [writer.write("." * 999 + "\n") for _ in range(100)])


# --- whole processes: how they end, and what they fork

LOGGING = """
import logging, os, signal, sys, threading
from bff.telemetry.logging import configure_logging, stderr_without_blocking
configure_logging("info", "text", stderr_without_blocking("text", float(sys.argv[1])))
log = logging.getLogger("bff")
"""


def run(program: str, flush_within: float = PATIENCE, **options: Any) -> subprocess.CompletedProcess[str]:
    """Its output is read from the beginning, unless `stderr` is given."""
    return subprocess.run(
        [sys.executable, "-c", LOGGING + program, str(flush_within)],
        cwd=ROOT,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        **{"stderr": subprocess.PIPE, **options},
    )


def test_at_exit_everything_is_written() -> None:
    done = run("for number in range(5000): log.info('line %d', number)")
    assert (done.returncode, done.stderr.count("\n")) == (0, 5000)
    assert done.stderr.endswith("bff: line 4999\n")


def test_a_crash_leaves_its_last_lines_and_its_traceback_without_secrets() -> None:
    done = run("log.warning('about to fail'); raise RuntimeError('refresh_token=canary')")
    assert done.returncode == 1
    assert done.stderr.index("about to fail") < done.stderr.index("Traceback") < done.stderr.index("RuntimeError: ")
    assert "canary" not in done.stderr


def test_what_others_print_takes_the_same_way() -> None:
    done = run("print('to stdout'); print('to stderr', file=sys.stderr); print('without an end', end='')")
    assert done.stderr == "to stdout\nto stderr\nwithout an end\n"
    done = run("import subprocess; subprocess.run(['echo', 'of a child'], stdout=sys.stderr, check=True)")
    assert done.stderr == "of a child\n"


def test_a_process_exits_although_its_log_is_not_read() -> None:
    """Everything that Python itself would print included: tracebacks of the main thread, of others, of finalizers."""
    program = """
class Loud:
    def __del__(self): raise ValueError("in a finalizer")
log.info("." * 100_000)
print("printed")
Loud()
thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()
raise SystemError("at last")
"""
    with small_pipe(full=True) as (_, end):
        assert run(program, flush_within=0.1, stderr=end).returncode == 1


def test_a_forked_child_writes_its_own_lines_and_not_its_parents() -> None:
    program = """
for number in range(100): log.info("of the parent %d", number)
child = os.fork()
if child == 0:
    log.info("of the child")
    logging.shutdown()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
log.info("the child has ended")
"""
    lines = [line.partition("bff: ")[2] for line in run(program).stderr.splitlines()]
    assert sorted(lines) == sorted(
        [*(f"of the parent {number}" for number in range(100)), "of the child", "the child has ended"]
    )


def test_a_signal_handler_may_log() -> None:
    program = """
signal.signal(signal.SIGALRM, lambda *_: log.info("in the handler"))
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for number in range(3000): log.info("line %d", number)
signal.setitimer(signal.ITIMER_REAL, 0)
"""
    done = run(program)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not re.search(r"bff: (line \d+|in the handler)$", line)] == []
    assert done.stderr.count("bff: line ") == 3000
