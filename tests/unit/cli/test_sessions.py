"""`bff sessions` and `bff keys rewrap`: selectors, output and exit codes. bff/admin/sessions.py has the rest."""

import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bff.admin.selection import Selection
from bff.admin.session_list import list_sessions
from bff.admin.sessions import AdminContext, TokensStayValid
from bff.cli import exit_codes
from bff.cli.output import Progress, ProgressBar
from bff.cli.session_store import print_from_store
from bff.config.settings import load_settings
from tests.harness.bff_command import call_bff
from tests.harness.example_session import a_session
from tests.harness.root_logger import taken_root_logger
from tests.harness.settings import with_changes
from tests.harness.store_files import keep

ISSUER = "http://127.0.0.1:9/oauth2/default"  # nobody listens there


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'bff.db'}"


def test_sessions_are_listed_and_ended_with_a_reason_in_the_audit_log(store: str) -> None:
    session = a_session(time.time(), issuer=ISSUER)
    keep(store, session)
    environ = with_changes(store=store, issuer=ISSUER)
    assert call_bff("sessions", "list", environ=environ).stdout.startswith(f"{session.fingerprint}  user ")
    in_json = call_bff("sessions", "list", "--json", environ=environ).stdout.splitlines()
    assert [json.loads(line).get("session") for line in in_json] == [session.fingerprint, None]
    for arguments in (
        ("end",),
        ("end", "--sub", "a", "--all"),
        ("list", "--sub", "a", "--limit", "1"),
        ("list", "--after", "x"),
    ):
        refused = call_bff("sessions", *arguments, environ=environ)
        assert (refused.returncode, refused.stdout) == (exit_codes.USAGE, "")
    assert "refresh token: yes" in call_bff("sessions", "show", "--all", environ=environ).stdout
    assert call_bff("sessions", "show", environ=environ).returncode == exit_codes.USAGE
    assert call_bff("keys", "rewrap", environ=environ).stdout.startswith("0 records re-encrypted")
    ended = call_bff("sessions", "end", "--all", "--wait", "0", "--reason", "left the\ncompany", environ=environ)
    assert (ended.returncode, ended.stdout[:16]) == (0, "1 session ended\n")
    assert "left the\\ncompany" in ended.stderr or "left the\\\\ncompany" in ended.stderr
    assert "canary" not in ended.stderr.lower()
    assert call_bff("sessions", "list", environ=environ).stdout == "0 sessions\n"


def test_an_unavailable_store_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings(with_changes(store="redis://127.0.0.1:1"))
    with taken_root_logger():
        code = print_from_store(settings, lambda context: list_sessions(context, Selection()))
    printed = capsys.readouterr()
    assert (code, printed.out) == (exit_codes.UNAVAILABLE, "")
    assert "Redis is unavailable" in printed.err


async def _with_tokens_left(context: AdminContext) -> AsyncIterator[str]:
    yield "1 session ended"
    raise TokensStayValid(1)


def test_tokens_that_stay_valid_are_an_error(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with taken_root_logger():
        code = print_from_store(load_settings(with_changes(store=store)), _with_tokens_left)
    printed = capsys.readouterr()
    assert (code, printed.out) == (exit_codes.FAILED, "1 session ended\n")
    assert "1 token not revoked" in printed.err


def test_progress_is_shown_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 9.0, 10.0, 11.0, 20.0])
    progress = Progress(lambda: next(times))
    for number in range(4):
        progress(f"{number}")
    assert capsys.readouterr().err == "1\n3\n"


def test_a_bar_is_drawn_on_a_terminal_and_lines_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 0.0, 10.0, 10.0])
    bar = ProgressBar("records", lambda: next(times))
    bar(1000, 4000)
    bar.close()
    assert capsys.readouterr().err == "1,000 of 4,000 records, 100 a second\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    times = iter([0.0, 1.0, 1.05, 2.0])
    bar = ProgressBar("records", lambda: next(times))
    for done in (1000, 2000, 4000):
        bar(done, 4000)
    bar.close()
    bar.close()
    first, second = capsys.readouterr().err.removeprefix("\r").split("\r")
    assert first == f"[{'#' * 10}{' ' * 30}] 1,000 of 4,000 records, 1,000 a second\x1b[K"
    assert second == f"[{'#' * 40}] 4,000 of 4,000 records, 2,000 a second\x1b[K\n"
