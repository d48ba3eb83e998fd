"""`bff help [COMMAND]...`: the same text as `bff COMMAND --help`."""

import click


@click.command(short_help="Print the help of a command.")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Print the help of a command, like `bff help okta apply`."""
    described = ctx.find_root()
    for name in names:
        group = described.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{described.command_path!r} has no commands.", ctx)
        _, subcommand, _ = group.resolve_command(described, [name])  # raises NoSuchCommand, with similar names
        assert subcommand is not None
        described = click.Context(subcommand, parent=described, info_name=name)
    click.echo(described.get_help())
