"""The command tree as a whole: help, versions, suggestions, completion, env files, and what each command imports."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from bff import __version__
from bff.cli import exit_codes
from bff.cli.command_tree import COMMANDS, tree
from tests.harness.bff_command import bff
from tests.harness.places import ROOT
from tests.harness.settings import CLIENT_SECRET, KEY, RIGHT, with_changes

PATIENCE = 60  # seconds; fails a test that hangs


def modules_after(arguments: list[str], environ: dict[str, str], cwd: Path) -> tuple[int, set[str]]:
    """The exit code of the command, and what it has imported, in a process of its own."""
    # Into a file: `bff serve` redirects both streams to its log.
    program = (
        "import sys; from pathlib import Path; from bff.cli.main import main; code = main(sys.argv[1:]); "
        "Path('modules').write_text(' '.join([str(code), *sys.modules]))"
    )
    subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environ},
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    code, *modules = (cwd / "modules").read_text().split()
    return int(code), set(modules)


@pytest.mark.parametrize("option", ["--version", "-V", "version"])
def test_the_version_can_be_asked_for_in_three_ways(option: str, tmp_path: Path) -> None:
    done = bff(option, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"bff {__version__}\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("help",)])
def test_the_help_lists_every_command(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = bff(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("path", [("okta", "apply"), ("keys",), ("routes", "explain"), ("serve",)])
def test_help_of_a_command_is_the_same_in_both_ways(path: tuple[str, ...], tmp_path: Path) -> None:
    done = bff("help", *path, cwd=tmp_path)
    assert done.stdout == bff(*path, "--help", cwd=tmp_path).stdout
    assert done.stdout.startswith(f"Usage: bff {' '.join(path)} ")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (("chekc",), "Did you mean 'check'?"),
        (("help", "docter"), "'doctor'"),
        (("sessions", "lst"), "Did you mean 'list'?"),
        (("doctor", "--jsn"), "Did you mean '--json'?"),
        (("okta", "rotate"), "Did you mean 'rotate-secret'?"),
    ],
)
def test_a_misspelled_word_gets_a_suggestion(arguments: tuple[str, ...], suggestion: str, tmp_path: Path) -> None:
    done = bff(*arguments, environ=RIGHT, cwd=tmp_path)
    assert done.returncode == (exit_codes.FAILED if arguments[0] == "okta" else exit_codes.USAGE)
    assert done.stdout == ""
    assert suggestion in done.stderr


def test_the_short_texts_of_the_tree_are_those_of_the_commands() -> None:
    ctx = click.Context(tree)
    for name, text in COMMANDS.items():
        command = tree.get_command(ctx, name)
        assert command is not None
        assert command.get_short_help_str(200) == text
        assert (command.help or "").strip(), name


def test_the_help_imports_no_settings_and_no_framework(tmp_path: Path) -> None:
    """The start-up of `bff --help`, and of every completion, stays below that of pydantic."""
    code, modules = modules_after(["--help"], {}, tmp_path)
    assert code == 0
    assert {"pydantic", "fastapi", "httpx", "bff.config.settings", "bff.app"} & modules == set()


def test_serving_imports_nothing_of_the_operator_commands(tmp_path: Path) -> None:
    """It ends when it binds the address, which is not one of this machine: everything is imported by then."""
    environ = with_changes(listen="192.0.2.1:1", store=f"sqlite:///{tmp_path / 'bff.db'}")
    code, modules = modules_after(["serve"], environ, tmp_path)
    assert code == 1
    assert {"bff.app", "bff.server.run"} <= modules
    assert [name for name in modules if name.startswith("bff.admin")] == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_completion_script(shell: str, tmp_path: Path) -> None:
    done = bff("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert "_BFF_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("bff se", {"serve", "sessions"}),
        ("bff okta r", {"rotate-secret"}),
        ("bff sessions end --s", {"--sub", "--sid"}),
        ("bff --ver", {"--version"}),
    ],
)
def test_the_shell_is_given_commands_and_options(words: str, completions: set[str], tmp_path: Path) -> None:
    environ = {"_BFF_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = bff(environ=environ, cwd=tmp_path)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == completions


def test_an_env_file_is_read_before_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "bff.env"
    lines = [f"export {name}='{value}'" for name, value in RIGHT.items()]
    path.write_text("\n".join(["# a comment", *lines, "OTHER=1", ""]))
    done = bff("check", "--env-file", str(path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "https://app.example.com/authorization-code/callback" in done.stdout
    overridden = bff(
        "check", "--env-file", str(path), environ={"BFF_PUBLIC_URL": "https://other.example"}, cwd=tmp_path
    )
    assert "https://other.example/authorization-code/callback" in overridden.stdout
    for secret in (CLIENT_SECRET, KEY):
        assert secret not in done.stdout + overridden.stdout


def test_a_secret_file_of_the_environment_overrides_the_secret_of_an_env_file(tmp_path: Path) -> None:
    """As in `bff okta apply --env-file`, once BFF_CLIENT_SECRET_FILE is deployed."""
    secret = tmp_path / "secret"
    secret.write_text(CLIENT_SECRET)
    path = tmp_path / "bff.env"
    path.write_text("BFF_CLIENT_SECRET=another-secret-4711\n")
    environ = with_changes(client_secret=None, client_secret_file=str(secret))
    done = bff("check", "--env-file", str(path), environ=environ, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "does not exist"), (b"\xff\xfe", "cannot be read"), (b"A=1\n" * 20_000, "is too large")],
    ids=["missing", "binary", "large"],
)
@pytest.mark.parametrize("command", ["check", "serve", "doctor", "routes"])
def test_an_env_file_that_cannot_be_used_is_a_configuration_error(
    command: str, content: bytes | None, problem: str, tmp_path: Path
) -> None:
    path = tmp_path / "bff.env"
    if content is not None:
        path.write_bytes(content)
    done = bff(command, "--env-file", str(path), environ=RIGHT, cwd=tmp_path)
    assert done.returncode == exit_codes.FAILED
    assert f"{path}: {problem}" in done.stderr


def test_options_before_a_subcommand_hold_for_it(tmp_path: Path) -> None:
    path = tmp_path / "bff.env"
    path.write_text("".join(f"{name}={value}\n" for name, value in RIGHT.items()))
    done = bff("routes", "--env-file", str(path), "explain", "GET", "/elsewhere", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "404 route_not_found" in done.stdout


def test_a_reader_that_leaves_causes_no_traceback(tmp_path: Path) -> None:
    """As `bff check | head -0` does."""
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "bff", "check"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **RIGHT},
        cwd=tmp_path,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=180,
        check=False,
    )
    os.close(writer)
    assert (process.returncode, process.stderr) == (1, "")


@pytest.mark.parametrize("command", ["check", "doctor"])
def test_ctrl_c_ends_a_command_without_a_traceback(command: str, tmp_path: Path) -> None:
    """Interrupted while it reads an env file that never ends: a named pipe, which the test holds open."""
    pipe = tmp_path / "bff.env"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "bff", command, "--env-file", str(pipe)],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **RIGHT},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    writer = open_once_read(pipe)
    process.send_signal(signal.SIGINT)
    os.close(writer)  # a signal that comes just before the read is noticed after it
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert (process.returncode, stdout) == (exit_codes.INTERRUPTED, "")
    assert "Traceback" not in stderr


def open_once_read(pipe: Path) -> int:
    """Opens a named pipe for writing once a process reads it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # no process has it open for reading
                raise
            time.sleep(0.02)
    raise AssertionError("the command does not read the env file")
