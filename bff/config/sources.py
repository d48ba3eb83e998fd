"""Reads raw settings from the environment, `bff.toml` and secret files, and reports unknown names.

The environment takes precedence over the file. `*_FILE` names a file that holds a secret. This module does not
interpret values; `bff.config.settings` does.
"""

import json
import os
import tomllib
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bff.config.kubernetes_links import is_service_link
from bff.config.section import Leaf, is_table, item_model
from bff.config.validators import NEW_KEY
from bff.errors import ConfigurationError

PREFIX = "BFF_"
CONFIG = "BFF_CONFIG"
FILE_SUFFIX = "_file"
OKTA = "okta"  # the [okta] table and BFF_OKTA_* are for `bff okta` (bff.admin.okta.settings), not for a running BFF
MISSING = {  # how to obtain the values that have no default
    "issuer": "Set it to the issuer of your provider; at Okta, the Okta domain and authorization server: https://example.okta.com/oauth2/default.",
    "client_id": "Set it to the client ID that the provider shows for this application.",
    "public_url": "Set it to the public address of the application, like https://app.example.com.",
    "session_keys": NEW_KEY,
}
# Of the JSON in a variable. `docker run --env-file` alone keeps quotes.
_QUOTED = "; in single quotes for a shell, `--env-file` or systemd, which remove its double quotes otherwise"
SECRET_FILE_LIMIT = 64 * 1024  # bytes


class ConfigurationErrors(ConfigurationError):
    """Every problem found. `setting`, `problem` and `fix` are those of the first one."""

    def __init__(self, problems: tuple[ConfigurationError, ...]) -> None:
        super().__init__(problems[0].setting, problems[0].problem, problems[0].fix)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{error.setting}: {error.problem} {error.fix}" for error in self.problems)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Raw values by public name, the label of each in its source for messages, and the problems found."""

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigurationError] = field(default_factory=list)

    def fill_placeholders(self, values: Mapping[str, Any]) -> None:
        """Uses `values` for settings that are missing or unreadable."""
        for name in values.keys() - self.values.keys():
            self.values[name] = values[name]
            self.problems[:] = [error for error in self.problems if error.setting != self.names.get(name)]


def gather(
    environ: Mapping[str, str],
    toml_path: Path | None,
    leaves: Mapping[str, Leaf],
    *,
    table: str | None = None,
) -> Gathered:
    """Reads every source once; records problems instead of raising them.

    `leaves` are the settings by public name; only secrets have a `*_FILE` form. With `table`, only that table of the
    file and only the variables with its prefix are read.
    """
    gathered = Gathered()
    secret = {name for name, leaf in leaves.items() if leaf.is_secret}
    allowed = leaves.keys() | {name + FILE_SUFFIX for name in secret}
    path, file_values = _toml(environ, toml_path, gathered.problems)
    label_prefix, file_values = _select_table(file_values, table, path, gathered.problems)
    prefix = PREFIX if table is None else f"{PREFIX}{table.upper()}_"
    from_file = {key: (f"{label_prefix}{key} ({path})", value) for key, value in file_values.items()}
    from_environ = {
        (name.lower() if name.isupper() else name).removeprefix(prefix.lower()): (name, value)
        for name, value in environ.items()
        if name.upper().startswith(prefix) and name != CONFIG
        if table is not None or not name.upper().startswith(f"{PREFIX}{OKTA.upper()}_")
        if not is_service_link(name, value)
    }
    for source in (from_file, from_environ):
        for key in [key for key in source if key not in allowed]:
            gathered.problems.append(
                unknown(source.pop(key)[0], key, allowed, prefix if source is from_environ else "")
            )
    for key in [
        key for key, (_, text) in from_environ.items() if text == "" and not (key in leaves and leaves[key].is_list)
    ]:
        del from_environ[key]  # an empty variable counts as unset; for a list it means an empty list
    for name in sorted(leaves):
        forms = {name, name + FILE_SUFFIX} if name in secret else {name}
        source = from_environ if forms & from_environ.keys() else from_file
        spellings = {form: source[form] for form in sorted(forms & source.keys())}
        if len(spellings) == 2:
            both = " and ".join(label for label, _ in spellings.values())
            gathered.problems.append(ConfigurationError(both, "are both set.", "Keep one of them."))
            gathered.names[name] = both
        elif spellings:
            (form, (label, value)) = spellings.popitem()
            declared = leaves[name].field
            if isinstance(value, str) and form == name and item_model(declared) is not None:
                _read_json(gathered, name, label, value, f"Write a JSON list of objects{_QUOTED}.")
            elif isinstance(value, str) and value.lstrip()[:1] == "{" and is_table(declared):
                _read_json(gathered, name, label, value, f"Write a JSON object{_QUOTED}.")
            else:
                _read_value(gathered, name, label, value, from_secret_file=form != name)
    return gathered


def secret_file(environ: Mapping[str, str], toml_path: Path | None, name: str) -> Path | None:
    """Returns the file that `BFF_<NAME>_FILE` or bff.toml names for a secret. Validates nothing and never raises."""
    form = name + FILE_SUFFIX
    configured = environ.get(PREFIX + form.upper()) or _toml(environ, toml_path, [])[1].get(form)
    return Path(str(configured)) if configured else None


def named_files(environ: Mapping[str, str], toml_path: Path | None, secret: Collection[str]) -> tuple[Path, ...]:
    """Returns bff.toml and the secret files that it or the environment names. Validates nothing and never raises."""
    path, document = _toml(environ, toml_path, [])
    forms = {name + FILE_SUFFIX for name in secret}
    by_file = [document[form] for form in sorted(forms) if isinstance(document.get(form), str)]
    by_environ = [environ[name] for name in sorted(environ) if name.lower().removeprefix(PREFIX.lower()) in forms]
    return (path, *(Path(file_name) for file_name in (*by_environ, *by_file) if file_name))


def unknown(label: str, key: str, allowed: Set[str], prefix: str = "") -> ConfigurationError:
    """Builds the error for an unknown name and suggests the most similar known one with the variables' `prefix`."""
    similar = get_close_matches(key.lower(), sorted(allowed), n=1, cutoff=0.6)
    suggestion = f"{prefix}{similar[0].upper()}" if similar and prefix else similar[0] if similar else None
    fix = f"Did you mean {suggestion}?" if suggestion else "Remove it; `bff docs settings` lists every name."
    return ConfigurationError(label, "is not a setting.", fix)


def _toml(
    environ: Mapping[str, str], toml_path: Path | None, problems: list[ConfigurationError]
) -> tuple[Path, dict[str, Any]]:
    configured = toml_path or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    path = configured or Path("bff.toml")
    # False as well for a working directory that this process may not search, such as one of another user.
    if configured is None and not os.path.isfile(path):
        return path, {}
    label = CONFIG if toml_path is None and configured else str(path)
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(
            ConfigurationError(label, f"{path} cannot be read: {error.strerror}.", "Fix the path or its permissions.")
        )
    except UnicodeDecodeError:
        problems.append(ConfigurationError(label, f"{path} is not UTF-8.", "Save it as UTF-8."))
    except tomllib.TOMLDecodeError as error:
        # The parser's message has the position and quotes at most one character of the file, so it discloses no secret.
        problems.append(ConfigurationError(label, f"{path} is not TOML: {error}.", "Fix that line."))
    return path, {}


def _select_table(
    document: dict[str, Any], table: str | None, path: Path, problems: list[ConfigurationError]
) -> tuple[str, dict[str, Any]]:
    """Returns the prefix of the table's names in messages, and the table's content. Without a table: the root."""
    if table is None:
        return "", {key: value for key, value in document.items() if key != OKTA}
    content = document.get(table, {})
    if not isinstance(content, dict):
        problems.append(
            ConfigurationError(f"{table} ({path})", "is not a table.", f"Write [{table}] above its settings.")
        )
        content = {}
    return f"{table}.", content


def _read_value(gathered: Gathered, name: str, label: str, value: Any, *, from_secret_file: bool) -> None:
    gathered.names[name] = label
    try:
        gathered.values[name] = _secret(value) if from_secret_file else value
    except PermissionError:
        user = os.geteuid()
        problem = f"cannot be read by the user {user} of this process: Permission denied."
        fix = f"Let that user read the file and enter its directories, for example with chown {user}."
        gathered.problems.append(ConfigurationError(label, problem, fix))
    except OSError as error:
        fix = "Give the path of a file that this process can read."
        gathered.problems.append(ConfigurationError(label, f"cannot be read: {error.strerror}.", fix))
    except UnicodeDecodeError:
        gathered.problems.append(ConfigurationError(label, "is not a text file.", "Save it as UTF-8 text."))
    except _SecretFileError as error:
        gathered.problems.append(ConfigurationError(label, str(error), "Write only the secret into it."))


def _read_json(gathered: Gathered, name: str, label: str, text: str, fix: str) -> None:
    """Reads a table or a list of tables from a variable, where it is JSON."""
    gathered.names[name] = label
    try:
        gathered.values[name] = json.loads(text)
    except ValueError:
        gathered.problems.append(ConfigurationError(label, "is not JSON.", fix))


class _SecretFileError(Exception):
    """A readable secret file that contains no secret."""


def _secret(path: Any) -> str:
    if not isinstance(path, str):
        raise _SecretFileError("is not the path of a file.")
    with Path(path).open("rb") as file:
        text = file.read(SECRET_FILE_LIMIT + 1)
    if len(text) > SECRET_FILE_LIMIT:
        raise _SecretFileError("is larger than 64 KiB.")
    if not text.strip():
        raise _SecretFileError("names an empty file.")
    return text.decode("utf-8").strip()
