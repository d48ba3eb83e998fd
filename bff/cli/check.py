"""`bff check`: validates the settings, and prints what to register in Okta and what to reconsider."""

from pathlib import Path

import click

from bff.cli import output
from bff.cli.options import settings_from, settings_source
from bff.config.advice import notes


@click.command(short_help="Check the settings, and print problems and advice.")
@settings_source
def command(config: Path | None, env_file: Path | None) -> None:
    """Check the settings. Prints every problem with its fix, or the URIs to register in Okta and advice.

    Opens no connection: `bff doctor` checks the running systems.
    """
    settings = settings_from(config, env_file)
    output.line("The settings are valid.")
    output.line(f"Register in Okta as sign-in redirect URI:  {settings.browser.redirect_uri}")
    output.line(f"Register in Okta as sign-out redirect URI: {settings.browser.post_logout_redirect_uri}")
    for note in notes(settings):
        output.line(f"Note: {note}")
