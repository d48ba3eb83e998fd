"""`bff okta show`: the app integration as it is in Okta."""

from typing import Any

import click

from bff.admin.okta import provision, report
from bff.cli import exit_codes
from bff.cli.okta.context import OktaOptions, no_app, okta_options, open_context


@click.command(name="show", short_help="Print the app integration.")
@okta_options
def show(**options: Any) -> int:
    """Print the app integration as it is in Okta, without secrets."""
    with open_context(OktaOptions(**options)) as context:
        view = provision.read_org(context.api, context.desired)
        if view.app is None:
            raise no_app(context.desired)
        context.report(report.show_lines(view), report.show_json(view))
    return exit_codes.OK
