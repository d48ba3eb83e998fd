"""The package, installed and built once for the whole run."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.clients.npm_package import SOURCES, WORKED_IN, copied, install, npm
from tests.clients.windows import ENGINES, Windows

PAGE = Path(__file__).with_name("page")


@pytest.fixture(scope="session")
def package() -> Path:
    """The folder of the package with its dependencies and dist/."""
    folder = copied(SOURCES, WORKED_IN / "js")
    install(folder)
    npm(folder, "run", "build")
    return folder


@pytest.fixture(scope="session")
def spa(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page and the modules of the package as they are published, without a bundler."""
    folder = tmp_path_factory.mktemp("spa")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    shutil.copytree(package / "dist", folder / "client")
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=list(ENGINES))
async def windows(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Windows]:
    async with ENGINES[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running
