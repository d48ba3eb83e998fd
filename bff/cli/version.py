"""`bff version`: the same as `bff --version`."""

import click

from bff import __version__
from bff.cli import output


@click.command(short_help="Print the version.")
def command() -> None:
    """Print the version."""
    output.line(f"bff {__version__}")
