"""`bff okta apply`: makes the org match the settings, and writes the client credentials."""

import sys
from typing import Any

import click

from bff.admin.okta import provision, report
from bff.cli import exit_codes, output
from bff.cli.okta.context import AdminContext, OktaOptions, okta_options, open_context, prune, show_secret


@click.command(name="apply", short_help="Make the org match the settings.")
@okta_options
@show_secret
@prune
@click.option("--yes", is_flag=True, help="Change an app integration that this command did not create, without asking.")
def apply(prune: bool, yes: bool, **options: Any) -> int:
    """Make the org match the settings, and write the client ID and a client secret. Idempotent.

    The exit code is 2 if manual steps remain; each is printed.
    """
    with open_context(OktaOptions(**options), prune=prune) as context:
        planned = provision.plan(context.api, context.desired)
        if planned.foreign_app is not None and not yes and not _confirmed(context, planned, planned.foreign_app):
            return exit_codes.FAILED
        applied = provision.apply(context.api, planned, target=context.credentials_file, log=output.progress)
        shown = applied.secret if context.options.show_secret else None
        context.report(
            report.applied_lines(planned, applied, context.credentials_file, shown),
            report.applied_json(planned, applied, shown),
        )
    return exit_codes.DIFFERENT if applied.left else exit_codes.OK


def _confirmed(context: AdminContext, planned: provision.Plan, app: dict[str, Any]) -> bool:
    """Asks on a terminal. Without one, explains `--yes`."""
    problem = f"`bff okta` did not create the app integration {app.get('label')!r} ({app.get('id')})."
    if context.options.as_json or not sys.stdin.isatty():
        output.problem(problem, "Nothing was changed. `bff okta plan` prints the differences; `--yes` applies them.")
        return False
    output.lines(report.plan_lines(planned))
    return output.confirm(f"{problem} Change it?")
