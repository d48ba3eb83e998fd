"""Where the client's id and secret are written: a file of the secret alone, or an env file. Always of mode 0600.

A file is replaced whole (written beside, then renamed), so that no reader finds half a secret.
"""

import os
import re
import shlex
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from bff.errors import ConfigurationError

CLIENT_ID: Final = "BFF_CLIENT_ID"
CLIENT_SECRET: Final = "BFF_CLIENT_SECRET"
LARGEST: Final = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """None where it is not known, or not used (no secret with private_key_jwt)."""

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    path: Path
    kind: Literal["env", "secret"]

    def read(self) -> ClientCredentials:
        """What an earlier run wrote; nothing where there is no such file. Raises ConfigurationError."""
        try:
            with self.path.open("rb") as file:
                text = file.read(LARGEST).decode()
        except FileNotFoundError:
            return ClientCredentials()
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong("cannot be read", error) from None
        if self.kind == "secret":
            return ClientCredentials(client_secret=text.strip() or None)
        values = dict(_assignments(text))
        return ClientCredentials(values.get(CLIENT_ID) or None, values.get(CLIENT_SECRET) or None)

    def prepare(self) -> None:
        """Proves that it can be written, before something is made whose secret would be lost. Raises."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=f".{self.path.name}."):
                pass
        except OSError as error:
            raise self._wrong("cannot be written", error) from None

    def write(self, credentials: ClientCredentials) -> bool:
        """False where the file held exactly this, with the right mode. Other lines of an env file are kept. Raises."""
        try:
            old = self.path.read_text("utf-8")
            mode = stat.S_IMODE(self.path.stat().st_mode)
        except FileNotFoundError:
            old, mode = "", 0
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong("cannot be read", error) from None
        new = self._text(old, credentials)
        if new == old and mode == 0o600:
            return False
        try:
            # mkstemp gives 0600 from the first byte on, whatever the umask.
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(new)
                    file.flush()
                    os.fsync(handle)
                Path(name).replace(self.path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise self._wrong("cannot be written", error) from None
        return True

    def _text(self, old: str, credentials: ClientCredentials) -> str:
        if self.kind == "secret":
            return f"{credentials.client_secret}\n" if credentials.client_secret else old
        wanted = {CLIENT_ID: credentials.client_id, CLIENT_SECRET: credentials.client_secret}
        kept = [line for line in old.splitlines() if not any(wanted.get(name) for name, _ in _assignments(line))]
        return "\n".join([*kept, *(f"{name}={shlex.quote(value)}" for name, value in wanted.items() if value)]) + "\n"

    def _wrong(self, problem: str, error: Exception) -> ConfigurationError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
        return ConfigurationError(str(self.path), f"{problem}: {why}.", "Name another: --env-file or --secret-file.")


def _assignments(text: str) -> list[tuple[str, str]]:
    """NAME=value lines, as shells, systemd and containers read them."""
    matches = re.findall(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$", text, re.MULTILINE)
    return [(name, _unquoted(value)) for name, value in matches]


def _unquoted(value: str) -> str:
    try:
        return next(iter(shlex.split(value)), "")
    except ValueError:
        return value
