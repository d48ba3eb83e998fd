"""`bff doctor`: every check of `bff.admin.doctor`, told to the operator.

Exit codes: 0 all is well, warnings allowed; 1 something fails, wrong settings among it. No secret is printed, and none
is taken from the command line.
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
    """`config` is the bff.toml that the command line names."""
    # What the rooms below would log is told as findings; without a handler logging would print it on stderr.
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
    return [ok("settings", "read, and right in themselves"), *asyncio.run(run_checks(settings, okta))]


def _wrong(name: str, error: ConfigurationError) -> CheckResult:
    return fail(name, f"{error.setting} {error.problem}", error.fix)
