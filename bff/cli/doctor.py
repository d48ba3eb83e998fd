"""`bff doctor`: runs every check of `bff.admin.doctor` and prints the results.

Exit codes: 0 healthy, warnings allowed; 1 a check fails, invalid settings included. No secret is printed, and none is
taken from the command line.
"""

import asyncio
import json
import logging
import os
from pathlib import Path

from bff.admin.doctor import report
from bff.admin.doctor.check_result import CheckResult, fail, ok
from bff.admin.doctor.run_checks import run_checks
from bff.admin.okta.settings import has_credentials, load_okta_settings
from bff.config.settings import load_settings
from bff.config.sources import ConfigurationErrors
from bff.errors import ConfigurationError
from bff.telemetry.redaction import escape

HEALTHY, FAILS = 0, 1


def run(config: Path | None, *, as_json: bool) -> int:
    """`config` is the path of bff.toml from the command line."""
    # Warnings of the packages below appear as check results; without a handler logging would also print them to stderr.
    logging.getLogger("bff").addHandler(logging.NullHandler())
    findings = _findings(config)
    if as_json:
        print(json.dumps(report.as_json(findings), indent=2))
    else:
        for line in report.lines(findings):
            print(escape(line))
    return HEALTHY if report.healthy(findings) else FAILS


def _findings(config: Path | None) -> list[CheckResult]:
    try:
        settings = load_settings(os.environ, config)
    except ConfigurationErrors as errors:
        return [_wrong("settings", error) for error in errors.problems]
    try:
        okta = load_okta_settings(os.environ, config) if has_credentials(os.environ, config) else None
    except ConfigurationErrors as errors:
        return [_wrong("okta_settings", error) for error in errors.problems]
    return [ok("settings", "valid"), *asyncio.run(run_checks(settings, okta))]


def _wrong(name: str, error: ConfigurationError) -> CheckResult:
    return fail(name, f"{error.setting} {error.problem}", error.fix)
