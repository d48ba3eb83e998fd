"""The log of whole processes: how they end, what they fork, and what else they print."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.harness.bff_command import PATIENCE, python
from tests.harness.pipes import small_pipe
from tests.harness.places import ROOT

FLUSH_WITHIN = 60.0  # seconds; the writer of a test that shall lose nothing has time

LOGGING = """
import logging, os, signal, sys, threading
from bff.telemetry.logging import configure_logging, stderr_without_blocking
configure_logging("info", "text", stderr_without_blocking("text", float(sys.argv[1])))
log = logging.getLogger("bff")
"""


def run(program: str, flush_within: float = FLUSH_WITHIN, **options: Any) -> subprocess.CompletedProcess[str]:
    """Its standard error is read, unless `stderr` is given."""
    return subprocess.run(
        [sys.executable, "-c", LOGGING + program, str(flush_within)],
        cwd=ROOT,
        text=True,
        timeout=PATIENCE,
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


def test_other_output_goes_the_same_way() -> None:
    done = run("print('to stdout'); print('to stderr', file=sys.stderr); print('without an end', end='')")
    assert done.stderr == "to stdout\nto stderr\nwithout an end\n"
    done = run("import subprocess; subprocess.run(['echo', 'of a child'], stdout=sys.stderr, check=True)")
    assert done.stderr == "of a child\n"


def test_a_process_exits_if_nobody_reads_its_log() -> None:
    """Including what Python itself prints: tracebacks of the main thread, of other threads and of finalizers."""
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
    """The timer counts processor time: on a busy machine a real one would leave none to the program."""
    program = """
def handle(*_):
    log.info("in the handler")
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005)
signal.signal(signal.SIGVTALRM, handle)
signal.setitimer(signal.ITIMER_VIRTUAL, 0.0005)
for number in range(5000): log.info("line %d", number)
signal.signal(signal.SIGVTALRM, signal.SIG_IGN)
"""
    done = run(program)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if not re.search(r"bff: (line \d+|in the handler)$", line)] == []
    assert done.stderr.count("bff: line ") == 5000
    assert "bff: in the handler" in done.stderr


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
    done = python("-c", program, str(tmp_path / "log"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "log").read_text() == "first\nseco\n2 log records dropped\nfourth\n"
