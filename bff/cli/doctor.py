"""`bff doctor`: runs every check of `bff.admin.doctor` and prints the results. Invalid settings are results too.

Prints no secret, and takes none from the command line.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import click

from bff.admin.doctor import report
from bff.admin.doctor.check_result import CheckResult, fail, ok
from bff.admin.doctor.run_checks import run_checks
from bff.admin.okta.settings import has_credentials, load_okta_settings
from bff.cli import exit_codes, output
from bff.cli.options import environment, json_output, settings_source
from bff.config.settings import load_settings
from bff.errors import ConfigurationError


@click.command(short_help="Check the provider, app integration, store, upstreams and proxy as they are now.")
@settings_source
@json_output
def command(config: Path | None, env_file: Path | None, as_json: bool) -> int:
    """Check the provider, app integration, store, upstreams and proxy as they are now.

    Every failed check names its fix. Writes nothing: no session, key or file. Without credentials for Okta's Management
    API (BFF_OKTA_API_TOKEN_FILE, or a service app) the app integration is checked only from outside.
    """
    # Warnings of other packages appear as check results; without a handler logging would also print them to stderr.
    logging.getLogger("bff").addHandler(logging.NullHandler())
    results = _results(environment(env_file), config)
    if as_json:
        output.document(report.as_json(results))
    else:
        output.lines(report.lines(results))
    return exit_codes.OK if report.healthy(results) else exit_codes.FAILED


def _results(environ: Mapping[str, str], config: Path | None) -> list[CheckResult]:
    try:
        settings = load_settings(environ, config)
    except ConfigurationError as error:
        return _failures("settings", error)
    try:
        okta = load_okta_settings(environ, config) if has_credentials(environ, config) else None
    except ConfigurationError as error:
        return _failures("okta_settings", error)
    return [ok("settings", "valid"), *asyncio.run(run_checks(settings, okta))]


def _failures(name: str, error: ConfigurationError) -> list[CheckResult]:
    return [fail(name, f"{problem.setting} {problem.problem}", problem.fix) for problem in output.problems_of(error)]
