"""What a release says of itself comes from one place."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from bff import __version__
from bff.telemetry.metrics import REGISTRY
from tests.harness.bff_command import bff
from tests.harness.places import ROOT


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


def test_the_wheel_holds_every_module_document_its_types_and_its_licence_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("okta_bff-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        described = [name.partition(".dist-info/")[2] for name in archive.namelist() if ".dist-info/" in name]
    tracked = subprocess.run(["git", "ls-files", "bff"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    documents = {document.name for document in (ROOT / "docs").glob("*.md")} | {"openapi.json"}
    assert names == set(tracked.split()) | {f"bff/docs/{name}" for name in documents - {"index.md"}}
    assert "bff/py.typed" in names
    assert {"entry_points.txt", "licenses/LICENSE"} <= set(described)
