"""Refuses to run with a uvicorn or httptools that the protocol subclasses were not written for."""

from collections.abc import Mapping
from typing import Final

import httptools
import uvicorn

from bff.errors import ConfigurationError

# As in pyproject.toml. A patch release fits; a minor release may rename or reorder what the subclasses rely on.
REQUIRED: Final[Mapping[str, str]] = {"uvicorn": "0.54", "httptools": "0.9"}


def check_versions(installed: Mapping[str, str] | None = None) -> None:
    """Raises ConfigurationError unless the installed versions are those that the subclasses fit.

    `installed` maps package names to versions; by default those of the imported packages.
    """
    if installed is None:
        installed = {"uvicorn": uvicorn.__version__, "httptools": httptools.__version__}
    for package, required in REQUIRED.items():
        if installed[package].split(".")[:2] != required.split("."):
            raise ConfigurationError(
                package,
                f"version {installed[package]} is installed, and the BFF needs {required}.",
                f"Install the locked dependencies, or {package}~={required}.0.",
            )
