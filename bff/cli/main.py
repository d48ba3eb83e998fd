"""The `bff` command:

`serve`, `check`, `doctor`, `keys`, `okta`, `routes`, `sessions`, `version`. Exit codes: 0 success; 1 the configuration
is wrong, and every problem was printed; 2 the command line is wrong; 3 the application could not start. Only `bff keys
new` prints a secret, the key that it creates. `bff okta` has its own exit codes: `bff.cli.main.main.okta`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from bff import __version__
from bff.cli.routes import add_commands as add_route_commands
from bff.config.settings import Settings, load_settings
from bff.config.sources import ConfigurationErrors
from bff.errors import ConfigurationError
from bff.telemetry.redaction import escape

OK, CONFIGURATION_WRONG = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["okta"]:
            return _okta(given[1:])
        if given[:1] == ["sessions"]:
            return _sessions(given[1:])
        parsed = _parser().parse_args(given)
        return int(parsed.command(parsed))
    except ConfigurationErrors as errors:
        _print_problems(errors.problems)
    except ConfigurationError as error:
        _print_problems((error,))
    return CONFIGURATION_WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bff",
        description="The backend-for-frontend for single-page apps that sign people in at Okta.",
        epilog="Exit codes: 0 done, 1 configuration wrong, 2 command line wrong, 3 could not start.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve until SIGTERM, in one process")
    serve.set_defaults(command=_serve)
    check = commands.add_parser("check", help="check the settings, print problems and advice, and exit")
    check.set_defaults(command=_check)
    doctor = commands.add_parser(
        "doctor", help=("check provider, app integration, store, upstreams and proxy against the running systems")
    )
    doctor.set_defaults(command=_doctor)
    doctor.add_argument("--json", action="store_true", help="print JSON")
    keys = commands.add_parser("keys", help="session keys").add_subparsers(required=True, metavar="COMMAND")
    new = keys.add_parser(
        "new", help=("print a new session key: append it to the list first, move it to the front in a later deploy")
    )
    new.set_defaults(command=_keys_new)
    listed = keys.add_parser("list", help="print the ids of the configured keys, newest first; never prints a key")
    listed.set_defaults(command=_keys_list)
    rewrapped = keys.add_parser("rewrap", help="re-encrypt every stored record under the newest key")
    rewrapped.set_defaults(command=_keys_rewrap)
    add_route_commands(
        commands.add_parser("routes", help=("list the routes, or explain how one request is handled")), _settings
    )
    version = commands.add_parser("version", help="print the version")
    version.set_defaults(command=_version)
    commands.add_parser("sessions", help="list, show and end sessions")
    commands.add_parser("okta", help="compare the Okta org with the settings, and apply the settings to it")
    for command in (serve, check, doctor, listed, rewrapped):
        command.add_argument(
            "--config", type=Path, metavar="FILE", help="path of bff.toml (default: BFF_CONFIG, then ./bff.toml)"
        )
    return parser


def _settings(parsed: argparse.Namespace) -> Settings:
    return load_settings(os.environ, parsed.config)


def _serve(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    # Imported here so that `bff check` and `bff keys` start without loading the web framework and the stores.
    from bff.app import build_app
    from bff.config.reload import Sources
    from bff.server.run import run
    from bff.telemetry.logging import configure_logging, stderr_without_blocking

    configure_logging(
        settings.telemetry.log_level,
        settings.telemetry.log_format,
        stderr_without_blocking(settings.telemetry.log_format),
    )
    return run(build_app(settings, sources=Sources(os.environ.copy(), parsed.config)), settings)


def _check(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from bff.config.advice import notes

    print("The settings are valid.")
    print(f"Register in Okta as sign-in redirect URI:  {settings.browser.redirect_uri}")
    print(f"Register in Okta as sign-out redirect URI: {settings.browser.post_logout_redirect_uri}")
    for note in notes(settings):
        print(escape(f"Note: {note}"))
    return OK


def _doctor(parsed: argparse.Namespace) -> int:
    from bff.cli.doctor import run

    return run(parsed.config, as_json=parsed.json)


def _keys_new(_: argparse.Namespace) -> int:
    from bff.session.keyring import encode_base64url, new_key

    print(encode_base64url(new_key()))
    return OK


def _keys_list(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from bff.session.keyring import key_id

    for place, key in enumerate(settings.session.key_ring):
        print(f"{key_id(key)}  {('newest: encrypts and decrypts' if place == 0 else 'decrypts only')}")
    return OK


def _keys_rewrap(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    from bff.cli.sessions import rewrap

    return rewrap(settings)


def _sessions(arguments: Sequence[str]) -> int:
    from bff.cli.sessions import run

    return run(arguments, _settings)


def _okta(arguments: Sequence[str]) -> int:
    from bff.cli.okta import run

    return run(arguments)


def _version(_: argparse.Namespace) -> int:
    print(f"bff {__version__}")
    return OK


def _print_problems(problems: Sequence[ConfigurationError]) -> None:
    """Prints one line for each problem to stderr: the setting, what is wrong, and how to fix it."""
    noun = "problem" if len(problems) == 1 else "problems"
    print(f"The configuration is wrong ({len(problems)} {noun}):", file=sys.stderr)
    for problem in problems:
        print(escape(f"  {problem.setting}: {problem.problem} {problem.fix}"), file=sys.stderr)
