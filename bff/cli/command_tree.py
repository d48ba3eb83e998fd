"""The command tree. The module of a command is imported when the command is used, so that `bff --help` stays fast and
`bff serve` imports nothing of `bff.admin`.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click
from click.shell_completion import CompletionItem

from bff import __version__
from bff.cli import exit_codes

# The texts stand here because `bff --help` imports no command. The module of a command defines `command`.
COMMANDS: Final[Mapping[str, str]] = {
    "serve": "Serve until SIGTERM.",
    "check": "Check the settings, and print problems and advice.",
    "health": "Ask the running process whether it is alive.",
    "doctor": "Check the provider, app integration, store, upstreams and proxy as they are now.",
    "keys": "Create, list and change keys.",
    "routes": "List the routes, or explain how a request is handled.",
    "sessions": "List, show and end sessions.",
    "okta": "Compare the Okta org with the settings, and apply the settings to it.",
    "docs": "Print a document of this version.",
    "completion": "Print the completion script of a shell.",
    "help": "Print the help of a command.",
    "version": "Print the version.",
}
MODULES: Final[Mapping[str, str]] = {"okta": "bff.cli.okta.group"}  # bff.cli.<name> for the others


class LazyGroup(click.Group):
    """Imports the module of a command on first use."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(MODULES.get(cmd_name, f"bff.cli.{cmd_name}")).command
        assert isinstance(command, click.Command)
        return command

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=text) for name, text in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def usage_exit_code(error: click.UsageError) -> int:
    """1 below `bff okta`, where 2 always means a difference; 2 elsewhere."""
    path = error.ctx.command_path.split() if error.ctx is not None else []
    return exit_codes.FAILED if path[1:2] == ["okta"] else exit_codes.USAGE


CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

tree = click.version_option(__version__, "-V", "--version", prog_name="bff", message="%(prog)s %(version)s")(
    LazyGroup(
        "bff",
        commands={name: click.Command(name, short_help=text) for name, text in COMMANDS.items()},
        context_settings=CONTEXT,
        help="The backend-for-frontend for single-page applications that sign users in at Okta.",
        epilog="Exit codes: 0 success; 1 invalid configuration, or a check failed; 2 invalid command line; 3 could not "
        "start, or the session store is unavailable. `bff help COMMAND` explains a command.",
    )
)
