"""The server starts only with the uvicorn and httptools that its protocol classes were written for."""

import subprocess
import sys
import tomllib

import pytest

from bff.errors import ConfigurationError
from bff.server.required_versions import REQUIRED, check_versions
from tests.harness.places import ROOT
from tests.harness.settings import with_changes

# In a process of its own, in which the package says that it is another version.
PROGRAM = """
import {package}
{package}.__version__ = {version!r}
from bff.cli.main import main
raise SystemExit(main(["serve"]))
"""


@pytest.mark.parametrize("version", ["0.54.0", "0.54.7"])
def test_a_patch_release_fits(version: str) -> None:
    check_versions({"uvicorn": version, "httptools": "0.9.0"})


@pytest.mark.parametrize("version", ["0.53.9", "0.55.0", "0.5.54", "1.54.0", "0.540.0"])
def test_another_release_is_refused_by_name(version: str) -> None:
    with pytest.raises(ConfigurationError, match=f"uvicorn: version {version} is installed, and the BFF needs 0.54"):
        check_versions({"uvicorn": version, "httptools": "0.9.0"})


@pytest.mark.parametrize(("package", "version"), [("uvicorn", "0.55.0"), ("httptools", "0.10.1")])
def test_bff_serve_refuses_to_start_with_another_release_and_says_what_to_install(package: str, version: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(package=package, version=version)],
        env=with_changes(listen="127.0.0.1:0"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"{package}: version {version} is installed" in done.stderr.replace("\n  ", " ")
    assert f"{package}~={REQUIRED[package]}.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_package_requires_the_same_releases() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for package, release in REQUIRED.items():
        assert f"{package}~={release}.0" in dependencies
