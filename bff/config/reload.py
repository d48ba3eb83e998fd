"""Reloads session keys and credentials from their sources while the process runs.

All settings are read and validated as at the start. If any is invalid, nothing changes. Other settings that have
changed need a restart; a log line names them.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from bff.config.section import leaves
from bff.config.settings import SECRETS, Settings, load_settings
from bff.config.sources import named_files
from bff.errors import ConfigurationError

logger = logging.getLogger(__name__)

CREDENTIALS: Final = frozenset(
    f"{client}{name}"
    for client in ("", "service_")
    for name in ("client_secret", "client_secret_next", "client_private_key")
)
RELOADED: Final = CREDENTIALS | {"session_keys", "store_credentials"}

# Switches to the new settings atomically. The names are the settings that changed and take effect without a restart.
# Raises ConfigurationError and then changes nothing.
Apply: TypeAlias = Callable[[Settings, frozenset[str]], None]
Stamp: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources from which this process reads its settings."""

    environ: Mapping[str, str]
    toml_path: Path | None = None

    def load(self) -> Settings:
        """Reads and validates all settings. Raises ConfigurationError."""
        return load_settings(self.environ, self.toml_path)

    def stamp(self) -> Stamp:
        """Returns a value that differs once a file has changed or a symbolic link points to another file.

        A missing file has the stamp 0.
        """
        return tuple((str(path), *_stamp(path)) for path in named_files(self.environ, self.toml_path, SECRETS))


class SettingsReload:
    """Reads the settings again when a file has changed or on request, and applies those that need no restart."""

    def __init__(self, settings: Settings, sources: Sources, apply: Apply, *, poll_interval: float) -> None:
        """`poll_interval`: seconds between two looks at the files."""
        self._settings, self._sources, self._apply = settings, sources, apply
        self._poll_interval = poll_interval
        self._stamp = sources.stamp()

    async def watch(self) -> None:
        """Checks the files at every `poll_interval`, until cancelled."""
        while True:
            await asyncio.sleep(self._poll_interval)
            self.look()

    def look(self) -> None:
        """Reads all settings again if a file has changed."""
        if (stamp := self._sources.stamp()) != self._stamp:
            self._stamp = stamp
            self.reload()

    def reload(self) -> bool:
        """Reads all settings again, as SIGHUP requests. Returns False if one is invalid; then nothing changes."""
        try:
            settings = self._sources.load()
            changed = changed_names(self._settings, settings)
            applied = [name for name in changed if name in RELOADED]
            self._apply(settings, frozenset(applied))
        except ConfigurationError as error:
            logger.error("the settings were not reloaded", extra={"setting": error.setting, "problem": error.problem})
            return False
        self._settings = settings
        logger.info("the settings were reloaded", extra={"changed": " ".join(applied) or "nothing"})
        if len(applied) < len(changed):
            need_restart = " ".join(name for name in changed if name not in RELOADED)
            logger.warning("changed settings need a restart", extra={"settings": need_restart})
        return True


def changed_names(before: Settings, after: Settings) -> list[str]:
    """The names of the settings whose values differ."""
    return [name for name, leaf in leaves(Settings).items() if leaf.value_in(before) != leaf.value_in(after)]


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0, 0
    return status.st_mtime_ns, status.st_size, status.st_ino
