"""The bill of materials lists what the image has: not what other platforms need, and the Debian packages too."""

import pytest

from scripts.sbom import debian_packages, needed, python_version
from tests.harness.places import ROOT

LOCKS = ("requirements.lock", "requirements-otel.lock")


@pytest.mark.parametrize("lock", LOCKS)
def test_packages_of_other_platforms_are_left_out(lock: str) -> None:
    python = python_version((ROOT / "Dockerfile").read_text("utf-8"))
    packages = needed((ROOT / lock).read_text("utf-8"), python)
    assert {"async-timeout", "colorama"} & packages.keys() == set()
    assert {"fastapi", "uvicorn", "uvloop", "cffi"} <= packages.keys()
    assert "async-timeout" in needed((ROOT / lock).read_text("utf-8"), "3.11.2")


def test_debian_packages_are_read() -> None:
    status = (
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-12\n"
        "Description: C library\n Version: 9\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n"
    )
    (component,) = debian_packages(status)
    assert (component["name"], component["version"]) == ("libc6", "2.41-12")
    assert component["purl"] == "pkg:deb/debian/libc6@2.41-12?arch=amd64"
