"""The protocol subclasses run only with the releases they were written for."""

import tomllib

import pytest

from bff.errors import ConfigurationError
from bff.server.required_versions import REQUIRED, check_versions
from tests.harness.places import ROOT


@pytest.mark.parametrize(
    ("uvicorn", "httptools", "fits"),
    [
        ("0.54.0", "0.9.0", True),
        ("0.54.7", "0.9.12", True),
        ("0.53.9", "0.9.0", False),
        ("0.55.0", "0.9.0", False),
        ("1.54.0", "0.9.0", False),
        ("0.540.0", "0.9.0", False),
        ("0.54.0", "0.10.0", False),
    ],
)
def test_a_patch_release_fits_and_no_other(uvicorn: str, httptools: str, fits: bool) -> None:
    installed = {"uvicorn": uvicorn, "httptools": httptools}
    if fits:
        check_versions(installed)
    else:
        with pytest.raises(ConfigurationError, match="is installed, and the BFF needs 0"):
            check_versions(installed)


def test_the_package_requires_the_same_releases() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for package, release in REQUIRED.items():
        assert f"{package}~={release}.0" in dependencies
