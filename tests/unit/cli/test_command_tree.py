"""The command tree as a whole: help, versions, suggestions, completion and wrong command lines."""

import click
import pytest

from bff import __version__
from bff.cli import completion, exit_codes, output, version
from bff.cli.command_tree import COMMANDS, tree
from bff.cli.main import main
from bff.cli.okta import group
from tests.harness.bff_command import call_bff
from tests.harness.settings import RIGHT


def test_each_command_is_imported_on_use_and_listed_with_its_own_short_help() -> None:
    ctx = click.Context(tree)
    assert set(tree.list_commands(ctx)) == COMMANDS.keys()
    for name, short_help in COMMANDS.items():
        command = tree.get_command(ctx, name)
        assert command is not None, name
        assert command.get_short_help_str(200) == short_help
    assert {command.name for command in group.command.commands.values()} == group.command.commands.keys()
    assert group.command.commands.keys() == {"plan", "apply", "show", "rotate-secret"}


def test_an_interrupted_command_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(version.command, "callback", interrupt)
    assert main(["version"]) == exit_codes.INTERRUPTED


@pytest.mark.parametrize("option", ["--version", "-V", "version"])
def test_the_version_is_the_packages(option: str) -> None:
    done = call_bff(option)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"bff {__version__}\n", "")


@pytest.mark.parametrize("option", ["--help", "-h", "help"])
def test_the_help_lists_every_command(option: str) -> None:
    done = call_bff(option)
    assert (done.returncode, done.stderr) == (0, "")
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("path", [("okta", "apply"), ("keys",), ("routes", "explain"), ("serve",)])
def test_help_of_a_command_is_the_same_in_both_ways(path: tuple[str, ...]) -> None:
    done = call_bff("help", *path)
    assert (done.returncode, done.stdout) == (0, call_bff(*path, "--help").stdout)
    assert done.stdout.startswith(f"Usage: bff {' '.join(path)} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("chekc",), "Did you mean 'check'?"),
        (("help", "docter"), "'doctor'"),
        (("help", "check", "x"), "has no commands"),
        (("sessions", "lst"), "Did you mean 'list'?"),
        (("doctor", "--jsn"), "Did you mean '--json'?"),
        (("doctor", "--client-secret", "x"), "No such option"),
        ((), "Usage: bff "),
        (("keys",), "Usage: bff keys"),
        (("check", "--workers", "4"), "No such option"),
    ],
)
def test_a_wrong_command_line_is_explained_on_stderr(arguments: tuple[str, ...], message: str) -> None:
    done = call_bff(*arguments, environ=RIGHT)
    assert (done.returncode, done.stdout) == (exit_codes.USAGE, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [(), ("plam",), ("plan", "--tyop"), ("apply", "--api-token", "x"), ("apply", "--env-file", "a", "--show-secret")],
)
def test_a_wrong_command_line_of_bff_okta_is_never_taken_for_a_difference(arguments: tuple[str, ...]) -> None:
    done = call_bff("okta", *arguments, environ=RIGHT)
    assert (done.returncode, done.stdout) == (exit_codes.FAILED, "")
    assert "Usage: bff okta" in done.stderr


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_every_shell_gets_a_completion_script(shell: str) -> None:
    done = call_bff("completion", shell)
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
def test_the_shell_is_given_commands_and_options(words: str, completions: set[str]) -> None:
    environ = {"_BFF_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    done = call_bff(environ=environ)
    assert {line.partition(",")[2] for line in done.stdout.splitlines()} == completions


def test_output_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.table([("a", "\x1b[2J"), ("longer", "d")])
    output.progress("\u202e")
    assert capsys.readouterr() == ("a       \\x1b[2J\nlonger  d\n", "\\u202e\n")
