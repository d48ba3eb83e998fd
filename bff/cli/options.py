"""Options that several commands share, and the settings that they select."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bff.config.env_file import read_env_file
from bff.config.settings import Settings, load_settings

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path)

config = click.option(
    "--config", type=FILE, metavar="FILE", help="Path of bff.toml. Default: BFF_CONFIG, then ./bff.toml."
)
env_file = click.option(
    "--env-file",
    type=FILE,
    metavar="FILE",
    help="A file with NAME=value lines, read before the environment, whose variables take precedence.",
)
json_output = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def settings_source(command: Command) -> Command:
    """`--config` and `--env-file`, for every command that reads the settings."""
    return config(env_file(command))


def environment(env_file: Path | None, *, must_exist: bool = True) -> dict[str, str]:
    """The variables of the file, overridden by those of the process. BFF_X and BFF_X_FILE override each other.

    Raises ConfigurationError.
    """
    from_file = read_env_file(env_file, must_exist=must_exist) if env_file else {}
    kept = {name: value for name, value in from_file.items() if _other_form(name) not in os.environ}
    return {**kept, **os.environ}


def _other_form(name: str) -> str:
    return name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE"


def settings_from(config: Path | None, env_file: Path | None) -> Settings:
    """Raises ConfigurationErrors, which holds every problem, and ConfigurationError for an unreadable env file."""
    return load_settings(environment(env_file), config)
