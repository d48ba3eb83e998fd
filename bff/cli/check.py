"""`bff check`: validates the settings, and prints what to register at the provider and what to reconsider."""

from pathlib import Path

import click

from bff.cli import output
from bff.cli.options import settings_from, settings_source
from bff.config.advice import notes


@click.command(short_help="Check the settings, and print problems and advice.")
@settings_source
def command(config: Path | None, env_file: Path | None) -> None:
    """Check the settings. Prints every problem with its fix, or the URIs to register at the provider and advice.

    Opens no connection: `bff doctor` checks the running systems.
    """
    settings = settings_from(config, env_file)
    output.line("The settings are valid.")
    browser = settings.browser
    if settings.provider.at_okta:
        output.line(f"Register in Okta as sign-in redirect URI:  {browser.redirect_uri}")
        output.line(f"Register in Okta as sign-out redirect URI: {browser.post_logout_redirect_uri}")
    else:
        output.line(f"Register at the provider as redirect URI:             {browser.redirect_uri}")
        output.line(f"Register at the provider as post-logout redirect URI: {browser.post_logout_redirect_uri}")
        output.line(f"Register at the provider as back-channel logout URI:  {browser.backchannel_logout_uri}")
    for note in notes(settings):
        output.line(f"Note: {note}")
