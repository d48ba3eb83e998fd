"""What a release says of itself comes from one place."""

import re
from pathlib import Path

from bff import __version__
from bff.telemetry.metrics import REGISTRY
from tests.cli.command import bff

ROOT = Path(__file__).parents[1]


def test_the_version_has_one_place(tmp_path: Path) -> None:
    assert bff("version", cwd=tmp_path).stdout == f"bff {__version__}\n"
    assert REGISTRY.get_sample_value("bff_info", {"version": __version__}) == 1
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in pyproject
    assert 'path = "bff/__init__.py"' in pyproject
    assert __version__ in (ROOT / "CHANGELOG.md").read_text().split("## ")[1]


def test_an_image_says_what_it_is() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    labels = set(re.findall(r"org\.opencontainers\.image\.(\w+)=", dockerfile))
    assert labels >= {"title", "description", "licenses", "version", "revision"}
    assert "${VERSION}" in dockerfile


def test_no_test_waits_for_a_vulnerability_service() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("test", "test-long", "check"):
        (recipe,) = re.findall(rf"(?m)^{target}:(.*(?:\n\t.*)*)", makefile)
        assert "audit" not in recipe
    assert "--strict" in (ROOT / "scripts/audit").read_text()
