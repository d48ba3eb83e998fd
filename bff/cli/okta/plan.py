"""`bff okta plan`: the differences between the org and the settings. Changes nothing."""

from typing import Any

import click

from bff.admin.okta import provision, report
from bff.cli import exit_codes
from bff.cli.okta.context import OktaOptions, okta_options, open_context, prune


@click.command(name="plan", short_help="Print how the org differs from the settings.")
@okta_options
@prune
def plan(prune: bool, **options: Any) -> int:
    """Print how the org differs from the settings. Changes nothing.

    The exit code is 0 if nothing differs and 2 if something does, so that the command can be a check in CI.
    """
    with open_context(OktaOptions(**options), prune=prune) as context:
        planned = provision.plan(context.api, context.desired)
        context.report(report.plan_lines(planned), report.plan_json(planned))
    return exit_codes.DIFFERENT if planned.findings.differences else exit_codes.OK
