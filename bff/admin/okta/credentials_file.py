"""Where the client's id and secret are written: a file with the secret alone, or an env file, with mode 0600.

A file is replaced atomically (temporary file and rename), so that no reader sees a partial secret.
"""

import os
import shlex
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from bff.config.env_file import MAX_BYTES, assignments
from bff.errors import ConfigurationError

CLIENT_ID: Final = "BFF_CLIENT_ID"
CLIENT_SECRET: Final = "BFF_CLIENT_SECRET"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """None if unknown, or not used (no secret with private_key_jwt)."""

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class CredentialsFile:
    path: Path
    content: Literal["env", "secret"]

    def read(self) -> ClientCredentials:
        """What an earlier run wrote; empty if there is no file. Raises ConfigurationError."""
        try:
            with self.path.open("rb") as file:
                text = file.read(MAX_BYTES).decode()
        except FileNotFoundError:
            return ClientCredentials()
        except (OSError, UnicodeDecodeError) as error:
            raise self._wrong("cannot be read", error) from None
        if self.content == "secret":
            return ClientCredentials(client_secret=text.strip() or None)
        values = dict(assignments(text))
        return ClientCredentials(values.get(CLIENT_ID) or None, values.get(CLIENT_SECRET) or None)

    def prepare(self) -> None:
        """Checks that the file is writable before a secret is created that would otherwise be lost.

        Raises ConfigurationError.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.path.parent, prefix=f".{self.path.name}."):
                pass
        except OSError as error:
            raise self._wrong("cannot be written", error) from None

    def write(self, credentials: ClientCredentials) -> bool:
        """False if the file already has this content and mode.

        Other lines of an env file are kept. Raises ConfigurationError.
        """
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
            # mkstemp creates the file with mode 0600 whatever the umask is.
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
        if self.content == "secret":
            return f"{credentials.client_secret}\n" if credentials.client_secret else old
        values = {CLIENT_ID: credentials.client_id, CLIENT_SECRET: credentials.client_secret}
        kept = [line for line in old.splitlines() if not any(values.get(name) for name, _ in assignments(line))]
        return "\n".join([*kept, *(f"{name}={shlex.quote(value)}" for name, value in values.items() if value)]) + "\n"

    def _wrong(self, problem: str, error: Exception) -> ConfigurationError:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        return ConfigurationError(str(self.path), f"{problem}: {why}.", "Choose another: --env-file or --secret-file.")
