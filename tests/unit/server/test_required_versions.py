"""The protocol subclasses run only with the releases they were written for."""

import pytest

from bff.errors import ConfigurationError
from bff.server.required_versions import check_versions


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


def test_the_installed_releases_fit() -> None:
    check_versions()
