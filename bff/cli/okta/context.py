"""What the `bff okta` commands share: their options, the desired state, and the Management API client."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bff.admin.okta.api_error import OktaManagementError
from bff.admin.okta.connection import management_api
from bff.admin.okta.credentials_file import ClientCredentials, CredentialsFile
from bff.admin.okta.desired import Desired, placeholders
from bff.admin.okta.management_api import ManagementApi
from bff.admin.okta.settings import load_okta_settings
from bff.cli import exit_codes, output
from bff.cli.options import FILE, config, environment, json_output
from bff.config.settings import load_settings
from bff.config.sources import secret_file

DEFAULT_ENV_FILE: Final = Path("var/okta.env")

Command = TypeVar("Command", bound=Callable[..., Any])

prune = click.option("--prune", is_flag=True, help="Remove redirect URIs that the settings do not list.")
show_secret = click.option("--show-secret", is_flag=True, help="Print the client secret, and write no file.")


def okta_options(command: Command) -> Command:
    """The fields of `OktaOptions`, but for `show_secret`."""
    for option in (
        click.option(
            "--secret-file",
            type=FILE,
            metavar="FILE",
            help="A file for the client secret alone. Default: BFF_CLIENT_SECRET_FILE, if it is set.",
        ),
        click.option(
            "--env-file",
            type=FILE,
            metavar="FILE",
            help="An env file to read settings from, and to write BFF_CLIENT_ID and BFF_CLIENT_SECRET to. "
            f"Default: {DEFAULT_ENV_FILE}, for these two alone.",
        ),
        json_output,
        config,
    ):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class OktaOptions:
    config: Path | None
    env_file: Path | None
    secret_file: Path | None
    as_json: bool
    show_secret: bool = False

    def environment(self) -> dict[str, str]:
        return environment(self.env_file, must_exist=False)  # `bff okta apply` will write it

    def credentials_file(self) -> CredentialsFile | None:
        """The file that credentials are read from and written to; None with `--show-secret`."""
        if self.show_secret:
            return None
        if self.env_file is not None:
            return CredentialsFile(self.env_file, "env")
        if self.secret_file is not None:
            return CredentialsFile(self.secret_file, "secret")
        if (path := secret_file(self.environment(), self.config, "client_secret")) is not None:
            return CredentialsFile(path, "secret")
        return CredentialsFile(DEFAULT_ENV_FILE, "env")


@dataclass(frozen=True, slots=True)
class AdminContext:
    """`credentials_file` None: the secret is printed instead of written."""

    options: OktaOptions
    desired: Desired
    api: ManagementApi
    credentials_file: CredentialsFile | None

    def report(self, lines: Sequence[str], content: dict[str, Any]) -> None:
        if self.options.as_json:
            output.document(content)
        else:
            output.lines(lines)


@contextmanager
def open_context(options: OktaOptions, *, prune: bool = False) -> Iterator[AdminContext]:
    """Prints an OktaManagementError, and ends the command with 1. Raises ConfigurationError and UsageError."""
    if sum(map(bool, (options.env_file, options.secret_file, options.show_secret))) > 1:
        problem = "Give only one of --env-file, --secret-file and --show-secret."
        raise click.UsageError(problem, click.get_current_context())
    environ = options.environment()
    settings = load_settings(environ, options.config, placeholders=placeholders())
    okta = load_okta_settings(environ, options.config)
    credentials_file = options.credentials_file()
    known = credentials_file.read() if credentials_file is not None else ClientCredentials()
    desired = Desired(settings, okta, known, prune)
    try:
        with management_api(desired, log=output.progress) as api:
            yield AdminContext(options, desired, api, credentials_file)
    except OktaManagementError as error:
        if options.as_json:
            output.document({"error": error.as_json()})
        output.problem(error.problem, error.fix)
        raise click.exceptions.Exit(exit_codes.FAILED) from None


def no_app(desired: Desired) -> OktaManagementError:
    return OktaManagementError(f"The org has no app integration {desired.label!r} yet.", "Run `bff okta apply`.")
