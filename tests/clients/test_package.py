"""The npm package by itself: its unit tests, its types, its size, and what would be published."""

from pathlib import Path

import pytest

from tests.clients.npm_package import npm
from tests.harness.places import ROOT

pytestmark = pytest.mark.clients


def test_its_unit_tests_pass(package: Path) -> None:
    assert "Tests" in npm(package, "run", "test")


def test_its_types_hold_for_applications_and_for_itself(package: Path) -> None:
    npm(package, "run", "typecheck")


def test_every_entry_is_as_small_as_promised(package: Path) -> None:
    output = npm(package, "run", "size")
    assert "index: " in output
    assert "TOO LARGE" not in output


def test_the_tarball_is_what_bundlers_and_node_expect(package: Path) -> None:
    output = npm(package, "run", "package", "--", "packed")
    assert "All good!" in output
    assert [path.suffix for path in (package / "packed").iterdir()] == [".tgz"]


def test_its_documentation_can_be_built(package: Path) -> None:
    npm(package, "run", "docs")
    assert "createBff" in (package / "docs" / "modules" / "index.html").read_text("utf-8")


def test_its_types_are_those_of_the_published_document(package: Path, tmp_path: Path) -> None:
    written = tmp_path / "openapi.ts"
    document = ROOT / "docs" / "openapi.json"
    npm(package, "exec", "--", "openapi-typescript", str(document), "--immutable", "--output", str(written))
    assert written.read_text("utf-8") == (package / "src" / "openapi.ts").read_text("utf-8"), "run `npm run types`"


@pytest.mark.parametrize("folder", ["demo/spa", "examples/fastapi-app/spa"])
def test_pages_without_a_build_step_use_this_version_of_it(package: Path, folder: str) -> None:
    npm(package, "run", "demo", "--", str(ROOT / folder / "okta-bff-client.js"), "--check")
