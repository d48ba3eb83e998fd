"""The credentials of a store that may change while the process runs, such as tokens of a managed Redis with IAM."""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from bff.config.validators import invalid

_FORM: Final = "Write the password, or the user name and the password on two lines."


@dataclass(frozen=True, slots=True)
class StoreCredentials:
    """Without a `username` Redis takes its user `default`."""

    username: str | None
    password: str = field(repr=False)


def store_credentials(value: SecretStr) -> SecretStr:
    """Validates the password, or the user name and the password on two lines. No message quotes them."""
    lines = value.get_secret_value().splitlines()
    if not 1 <= len(lines) <= 2 or not all(lines):
        raise invalid("is not one or two lines.", _FORM)
    if not all(line.isprintable() and line == line.strip() for line in lines):
        raise invalid("contains a control character, or a blank at an end of a line.", _FORM)
    if len(lines) == 2 and " " in lines[0]:
        raise invalid("contains a user name with a blank, which Redis excludes.", _FORM)
    if lines[0].startswith(("redis://", "rediss://", "redis+", "rediss+")):
        raise invalid("is a URL, not credentials.", f"{_FORM} The URL goes into BFF_STORE.")
    return value


def parse_store_credentials(text: str, store_url: str) -> StoreCredentials:
    """The credentials of `text`, which is valid. The user name may be in the URL of the store instead."""
    *usernames, password = text.splitlines()
    username = usernames[0] if usernames else unquote(urlsplit(store_url).username or "") or None
    return StoreCredentials(username, password)
