"""`bff okta plan`, `apply`, `show` and `rotate-secret`: configure and compare the Okta app integration.

Exit codes: 0 no difference, or done; 2 differences remain, or a manual step is left; 1 an error, including a wrong
command line, so that 2 always means a difference. No secret is printed without `--show-secret`.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

from bff.admin.okta import provision, report
from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.app_integration import client_id_of
from bff.admin.okta.client_secrets import Verdict, verify
from bff.admin.okta.connection import management_api
from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.admin.okta.desired import Desired, desired, placeholders
from bff.admin.okta.rotate_secret import retire_old, rotate
from bff.admin.okta.settings import load_okta_settings
from bff.config.settings import Settings, load_settings
from bff.config.sources import secret_file
from bff.telemetry.redaction import escape

SAME, ERROR, DIFFERS = 0, 1, 2
DEFAULT_ENV_FILE = Path("var/okta.env")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ERROR, f"{self.prog}: error: {message}\n")


def _parser() -> _Parser:
    parser = _Parser(
        prog="bff okta",
        description="Configure an Okta app integration from the settings, and show how it differs from them.",
        epilog="Exit codes: 0 no difference or done, 2 differences remain, 1 error. See docs/okta.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    plan = commands.add_parser(
        "plan", help=("compare the org with the settings: exit code 0 no difference, 2 differences, 1 error")
    )
    plan.set_defaults(command=_plan)
    apply = commands.add_parser("apply", help="apply the settings to the org; idempotent")
    apply.set_defaults(command=_apply)
    apply.add_argument(
        "--yes", action="store_true", help="change an app integration that this command did not create, without asking"
    )
    show = commands.add_parser("show", help="show the app integration as Okta holds it, without secrets")
    show.set_defaults(command=_show)
    secret = commands.add_parser("rotate-secret", help="create a second client secret, verify it and write it")
    secret.set_defaults(command=_rotate_secret)
    secret.add_argument("--retire", action="store_true", help="deactivate the old secret after the new one is deployed")
    for command in (plan, apply, show, secret):
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="path of bff.toml (default: BFF_CONFIG, then ./bff.toml)"
        )
        command.add_argument("--json", action="store_true", help="print JSON")
        where = command.add_mutually_exclusive_group()
        where.add_argument(
            "--env-file",
            type=Path,
            metavar="FILE",
            help=f"an env file for BFF_CLIENT_ID and BFF_CLIENT_SECRET, mode 0600 (else {DEFAULT_ENV_FILE})",
        )
        where.add_argument(
            "--secret-file",
            type=Path,
            metavar="FILE",
            help="a file for the secret alone, mode 0600 (else that of BFF_CLIENT_SECRET_FILE, if it is set)",
        )
        if command in (apply, secret):
            where.add_argument("--show-secret", action="store_true", help="print the secret, and write no file")
    for command in (plan, apply):
        command.add_argument("--prune", action="store_true", help="remove redirect URIs that the settings do not list")
    return parser


class _Command:
    """One run: the settings, the desired state, the Management API client, and where credentials are written."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        self.json: bool = parsed.json
        self.settings: Settings = load_settings(os.environ, parsed.config, placeholders=placeholders())
        okta = load_okta_settings(os.environ, parsed.config)
        self.target = None if getattr(parsed, "show_secret", False) else _target(parsed)
        held = self.target.read() if self.target is not None else ClientCredentials()
        self.desired: Desired = desired(
            self.settings,
            okta,
            client_id=held.client_id,
            client_secret=held.client_secret,
            prune=getattr(parsed, "prune", False),
        )
        self._open = ExitStack()
        self.api = self._open.enter_context(management_api(self.settings, okta, self.desired, log=self.log))

    def __enter__(self) -> "_Command":
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def log(self, text: str) -> None:
        """Progress goes to stderr, so that stdout holds only the report."""
        print(escape(text), file=sys.stderr)

    def report(self, lines: Sequence[str], content: dict[str, Any]) -> None:
        if self.json:
            print(json.dumps(content, indent=2))
        else:
            for line in lines:
                print(escape(line))


def _target(parsed: argparse.Namespace) -> CredentialsFile:
    """The file that credentials are read from and written to: the option, else BFF_CLIENT_SECRET_FILE, else an env
    file.
    """
    if parsed.env_file is not None:
        return CredentialsFile(parsed.env_file, "env")
    if parsed.secret_file is not None:
        return CredentialsFile(parsed.secret_file, "secret")
    named = secret_file(os.environ, parsed.config, "client_secret")
    return CredentialsFile(named, "secret") if named else CredentialsFile(DEFAULT_ENV_FILE, "env")


def run(arguments: Sequence[str]) -> int:
    """Raises ConfigurationError, which `bff.cli.main.main.main` prints."""
    parsed = _parser().parse_args(arguments)
    try:
        with _Command(parsed) as command:
            return int(parsed.command(command, parsed))
    except OktaManagementError as error:
        if parsed.json:
            print(json.dumps({"error": error.as_json()}, indent=2))
        print(escape(f"{error.problem} {error.fix}"), file=sys.stderr)
    return ERROR


def _plan(command: _Command, _: argparse.Namespace) -> int:
    planned = provision.plan(command.api, command.desired)
    command.report(report.plan_lines(planned), report.plan_json(planned))
    return DIFFERS if planned.findings.differences else SAME


def _apply(command: _Command, parsed: argparse.Namespace) -> int:
    planned = provision.plan(command.api, command.desired)
    if not planned.is_ours and planned.changes_app and not parsed.yes and not _confirmed(command, planned):
        return ERROR
    applied = provision.apply(command.api, planned, target=command.target, log=command.log)
    shown = applied.secret if parsed.show_secret else None
    command.report(
        report.applied_lines(planned, applied, command.target, shown), report.applied_json(planned, applied, shown)
    )
    return DIFFERS if applied.left else SAME


def _confirmed(command: _Command, planned: provision.Plan) -> bool:
    """Asks for confirmation on a terminal; without one, explains `--yes`."""
    app = planned.view.app or {}
    question = f"`bff okta` did not make the app integration {app.get('label')!r} ({app.get('id')})."
    if command.json or not sys.stdin.isatty():
        command.log(f"{question} Nothing was changed. `bff okta plan` shows what differs; `--yes` agrees to change it.")
        return False
    for line in report.plan_lines(planned):
        print(escape(line))
    print(escape(f"{question} Change it? [y/N] "), end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _show(command: _Command, _: argparse.Namespace) -> int:
    view = provision.read_org(command.api, command.desired)
    if view.app is None:
        raise _no_app(command.desired)
    command.report(report.show_lines(view), report.show_json(view))
    return SAME


def _rotate_secret(command: _Command, parsed: argparse.Namespace) -> int:
    wanted, settings = command.desired, command.settings
    app = provision.find_app(command.api, wanted)
    if app is None:
        raise _no_app(wanted)
    if not wanted.uses_secret:
        problem = "This BFF authenticates with private_key_jwt: there is no client secret."
        raise OktaManagementError(problem, "Change the key: docs/okta.md says how.")

    def check(secret: str) -> Verdict:
        return verify(
            wanted,
            client_id_of(app),
            secret,
            proxy=settings.provider.transport.proxy,
            ca_file=settings.provider.transport.ca_file,
            sleep=time.sleep,
        )

    if parsed.retire:
        retired = retire_old(command.api, app, wanted, check=check)
        command.report(retired.lines(), retired.as_json())
        return SAME
    rotation = rotate(command.api, app, target=command.target, check=check)
    shown = rotation.secret if parsed.show_secret else None
    command.report(rotation.lines(shown), rotation.as_json(shown))
    return SAME


def _no_app(wanted: Desired) -> OktaManagementError:
    return OktaManagementError(f"The org has no app integration {wanted.label!r} yet.", "Run `bff okta apply`.")
