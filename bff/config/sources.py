"""The sources of settings: the environment, `bff.toml` and secret files; and unknown names.

Owns precedence (environment over file), `*_FILE`, and spelling suggestions. Does not own the meaning of values
(`bff.config.settings`).
"""

import json
import tomllib
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bff.config.section import Leaf
from bff.config.validators import NEW_KEY
from bff.errors import ConfigurationError

PREFIX = "BFF_"
CONFIG = "BFF_CONFIG"
FILE_SUFFIX = "_file"
OKTA = "okta"  # the [okta] table and BFF_OKTA_* are for `bff okta` (bff.admin.okta.settings), not for a running BFF
MISSING = {  # how to obtain values without a default
    "issuer": "Set it to your Okta domain and authorization server, like https://example.okta.com/oauth2/default.",
    "client_id": "Set it to the client ID on the app integration's page in Okta.",
    "public_url": "Set it to the public address of the application, like https://app.example.com.",
    "session_keys": NEW_KEY,
}
SECRET_FILE_LIMIT = 64 * 1024  # bytes


class ConfigurationErrors(ConfigurationError):
    """All problems together. `setting`, `problem` and `fix` are those of the first one."""

    def __init__(self, problems: tuple[ConfigurationError, ...]) -> None:
        super().__init__(problems[0].setting, problems[0].problem, problems[0].fix)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(f"{wrong.setting}: {wrong.problem} {wrong.fix}" for wrong in self.problems)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Raw values by field name, the name of each in its source, and the problems found."""

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict)
    problems: list[ConfigurationError] = field(default_factory=list)

    def fill_placeholders(self, values: Mapping[str, Any]) -> None:
        """Uses `values` for settings that are missing or unreadable."""
        for name in values.keys() - self.values.keys():
            self.values[name] = values[name]
            self.problems[:] = [wrong for wrong in self.problems if wrong.setting != self.names.get(name)]


def gather(
    environ: Mapping[str, str],
    toml_path: Path | None,
    leaves: Mapping[str, Leaf],
    *,
    table: str | None = None,
) -> Gathered:
    """Reads every source once.

    `leaves` are the settings by public name; only secret ones have a `*_FILE`. With `table`, only that table of the
    file and only variables with its prefix are read.
    """
    gathered = Gathered()
    secret = {name for name, leaf in leaves.items() if leaf.is_secret}
    allowed = leaves.keys() | {name + FILE_SUFFIX for name in secret}
    path, file_values = _toml(environ, toml_path, gathered.problems)
    inside, file_values = _inside(file_values, table, path, gathered.problems)
    prefix = PREFIX if table is None else f"{PREFIX}{table.upper()}_"
    from_file = {key: (f"{inside}{key} ({path})", value) for key, value in file_values.items()}
    from_environ = {
        (name.lower() if name.isupper() else name).removeprefix(prefix.lower()): (name, value)
        for name, value in environ.items()
        if name.upper().startswith(prefix) and name != CONFIG
        if table is not None or not name.upper().startswith(f"{PREFIX}{OKTA.upper()}_")
    }
    for source in (from_file, from_environ):
        for key in [key for key in source if key not in allowed]:
            gathered.problems.append(
                unknown(source.pop(key)[0], key, allowed, prefix if source is from_environ else "")
            )
    for key in [
        key for key, (_, text) in from_environ.items() if text == "" and not (key in leaves and leaves[key].is_list)
    ]:
        del from_environ[key]  # an empty variable counts as unset, except for a list, where it means an empty list
    for name in sorted(leaves):
        forms = {name, name + FILE_SUFFIX} if name in secret else {name}
        source = from_environ if forms & from_environ.keys() else from_file
        spellings = {form: source[form] for form in sorted(forms & source.keys())}
        if len(spellings) == 2:
            both = " and ".join(called for called, _ in spellings.values())
            gathered.problems.append(ConfigurationError(both, "are both set.", "Keep one of them."))
            gathered.names[name] = both
        elif spellings:
            (form, (called, value)) = spellings.popitem()
            _take(gathered, name, called, value, from_secret_file=form != name)
    return gathered


def secret_file(environ: Mapping[str, str], toml_path: Path | None, name: str) -> Path | None:
    """The file that `BFF_<NAME>_FILE` or bff.toml names for a secret. Never raises; validates nothing."""
    form = name + FILE_SUFFIX
    named = environ.get(PREFIX + form.upper()) or _toml(environ, toml_path, [])[1].get(form)
    return Path(str(named)) if named else None


def named_files(environ: Mapping[str, str], toml_path: Path | None, secret: Collection[str]) -> tuple[Path, ...]:
    """bff.toml, and the files that `BFF_<NAME>_FILE` or bff.toml name for secrets. Never raises; validates nothing."""
    path, document = _toml(environ, toml_path, [])
    forms = {name + FILE_SUFFIX for name in secret}
    by_file = [document[form] for form in sorted(forms) if isinstance(document.get(form), str)]
    by_environ = [environ[name] for name in sorted(environ) if name.lower().removeprefix(PREFIX.lower()) in forms]
    return (path, *(Path(file_name) for file_name in (*by_environ, *by_file) if file_name))


def unknown(called: str, key: str, allowed: Set[str], prefix: str = "") -> ConfigurationError:
    """The error for an unknown name, with the most similar known one; `prefix` is that of the variables."""
    near = get_close_matches(key.lower(), sorted(allowed), n=1, cutoff=0.6)
    guess = f"{prefix}{near[0].upper()}" if near and prefix else near[0] if near else None
    fix = f"Did you mean {guess}?" if guess else "Remove it; docs/settings.md lists every name."
    return ConfigurationError(called, "is not a setting.", fix)


def _toml(
    environ: Mapping[str, str], toml_path: Path | None, problems: list[ConfigurationError]
) -> tuple[Path, dict[str, Any]]:
    named = toml_path or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    path = named or Path("bff.toml")
    if named is None and not path.is_file():
        return path, {}
    called = CONFIG if toml_path is None and named else str(path)
    try:
        return path, tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        problems.append(
            ConfigurationError(
                called, f"{path} cannot be read: {error.strerror}.", ("Fix the path or its permissions.")
            )
        )
    except UnicodeDecodeError:
        problems.append(ConfigurationError(called, f"{path} is not UTF-8.", "Save it as UTF-8."))
    except tomllib.TOMLDecodeError as error:
        # The parser reports the position and what it expected; it quotes at most one character of the file.
        problems.append(ConfigurationError(called, f"{path} is not TOML: {error}.", "Fix that line."))
    return path, {}


def _inside(
    document: dict[str, Any], table: str | None, path: Path, problems: list[ConfigurationError]
) -> tuple[str, dict[str, Any]]:
    """The table to read from the file, and the prefix for its names in messages."""
    if table is None:
        return "", {key: value for key, value in document.items() if key != OKTA}
    content = document.get(table, {})
    if not isinstance(content, dict):
        problems.append(
            ConfigurationError(f"{table} ({path})", ("is not a table."), f"Write [{table}] above its settings.")
        )
        content = {}
    return f"{table}.", content


def _take(gathered: Gathered, name: str, called: str, value: Any, *, from_secret_file: bool) -> None:
    gathered.names[name] = called
    try:
        text = _secret(value) if from_secret_file else value
        gathered.values[name] = json.loads(text) if name == "routes" and isinstance(text, str) else text
    except OSError as error:
        fix = "Give the path of a file that this process can read."
        gathered.problems.append(ConfigurationError(called, f"cannot be read: {error.strerror}.", fix))
    except UnicodeDecodeError:
        gathered.problems.append(ConfigurationError(called, "is not a text file.", "Save it as UTF-8 text."))
    except _SecretFileError as error:
        gathered.problems.append(ConfigurationError(called, str(error), "Write only the secret into it."))
    except ValueError:
        gathered.problems.append(ConfigurationError(called, "is not JSON.", "Write a JSON list of route objects."))


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
