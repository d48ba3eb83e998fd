"""`bff okta rotate-secret`: replaces the client secret in two steps, without a failed sign-in in between."""

import time
from functools import partial
from typing import Any

import click

from bff.admin.okta import provision
from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.app_integration import client_id_of
from bff.admin.okta.client_secrets import Verdict, verify
from bff.admin.okta.rotate_secret import retire_old, rotate
from bff.cli import exit_codes
from bff.cli.okta.context import OktaOptions, no_app, okta_options, open_context, show_secret


@click.command(name="rotate-secret", short_help="Replace the client secret.")
@okta_options
@show_secret
@click.option("--retire", is_flag=True, help="Deactivate the old secret, once the new one is deployed.")
@click.option(
    "--retry-pause",
    type=click.FloatRange(min=0),
    default=2.0,
    metavar="SECONDS",
    help="The time between two attempts with the new secret. Default: 2.",
)
def rotate_secret(retire: bool, retry_pause: float, **options: Any) -> int:
    """Create a second client secret, verify it at the token endpoint, and write it. Both secrets are valid until
    `--retire` deactivates the old one.
    """
    with open_context(OktaOptions(**options)) as context:
        desired = context.desired
        app = provision.find_app(context.api, desired)
        if app is None:
            raise no_app(desired)
        if not desired.uses_secret:
            problem = "This BFF authenticates with private_key_jwt: there is no client secret."
            raise OktaManagementError(problem, "`bff docs okta` describes how to change the key.")

        def check(secret: str) -> Verdict:
            return verify(desired, client_id_of(app), secret, pause=partial(time.sleep, retry_pause))

        if retire:
            retired = retire_old(context.api, app, desired, check=check)
            context.report(retired.lines(), retired.as_json())
        else:
            rotation = rotate(context.api, app, target=context.credentials_file, check=check)
            shown = rotation.secret if context.options.show_secret else None
            context.report(rotation.lines(shown), rotation.as_json(shown))
    return exit_codes.OK
