"""`bff completion SHELL`: the script that makes the shell complete commands and options. The shell then runs `bff`
itself, with `_BFF_COMPLETE` set, for each completion.
"""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell, for example: bff completion bash > /etc/bash_completion.d/bff"""
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(ctx.find_root().command, {}, "bff", "_BFF_COMPLETE").source())
