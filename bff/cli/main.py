"""The entry point of the `bff` command: runs the command tree, prints errors, returns the exit code."""

from collections.abc import Sequence

import click

from bff.cli import exit_codes, output
from bff.cli.command_tree import tree, usage_exit_code
from bff.errors import ConfigurationError


def main(arguments: Sequence[str] | None = None) -> int:
    """`arguments` default to those of the process. Returns one of `bff.cli.exit_codes`."""
    try:
        code = tree.main(arguments, prog_name="bff", standalone_mode=False)
        return code if isinstance(code, int) else exit_codes.OK
    except click.UsageError as error:
        output.usage_error(error)
        return usage_exit_code(error)
    except ConfigurationError as error:
        output.configuration_error(error)
        return exit_codes.FAILED
    except click.Abort:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        output.discard()
        return exit_codes.FAILED
