"""`bff okta`: compare the Okta org with the settings, and apply the settings to it.

The exit code 2 means that something differs, so a command line that is not valid ends with 1 here. No secret is printed
without `--show-secret`.
"""

import click

from bff.cli.command_tree import CONTEXT
from bff.cli.okta.apply import apply
from bff.cli.okta.plan import plan
from bff.cli.okta.rotate_secret import rotate_secret
from bff.cli.okta.show import show


@click.group(
    name="okta",
    commands=[plan, apply, show, rotate_secret],
    context_settings=CONTEXT,
    epilog="Exit codes: 0 no difference or done, 1 error, 2 a difference or a manual step remains.",
)
def command() -> None:
    """Compare the Okta org with the settings, and apply the settings to it."""
