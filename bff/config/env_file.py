"""Env files: NAME=value lines, as shells, systemd and container engines read them."""

import re
import shlex
from pathlib import Path
from typing import Final

from bff.errors import ConfigurationError

MAX_BYTES: Final = 64 * 1024
_ASSIGNMENT: Final = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$", re.MULTILINE)


def read_env_file(path: Path, *, must_exist: bool = True) -> dict[str, str]:
    """Raises ConfigurationError. `must_exist=False` is for a file that the command itself will write."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigurationError(str(path), "is too large.", f"An env file has at most {MAX_BYTES} bytes.")
        return dict(assignments(content.decode()))
    except FileNotFoundError:
        if must_exist:
            fix = "Check the path that --env-file names."
            raise ConfigurationError(str(path), "does not exist.", fix) from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        fix = "Check the file that --env-file names."
        raise ConfigurationError(str(path), f"cannot be read: {why}.", fix) from None


def assignments(text: str) -> list[tuple[str, str]]:
    """The NAME=value lines in order, without quotes. Other lines are ignored."""
    return [(name, _unquoted(value)) for name, value in _ASSIGNMENT.findall(text)]


def _unquoted(value: str) -> str:
    try:
        return next(iter(shlex.split(value)), "")
    except ValueError:
        return value
