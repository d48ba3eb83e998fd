"""The package, installed and built once for the whole run."""

from pathlib import Path

import pytest

from tests.clients.npm_package import SOURCES, WORKED_IN, copied, install, npm


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder of the package with its dependencies and dist/."""
    folder = copied(SOURCES, WORKED_IN / "js")
    install(folder)
    npm(folder, "run", "build")
    return folder
