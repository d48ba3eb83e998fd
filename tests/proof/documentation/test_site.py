"""What the documentation site shows of the repository. tests/docs reads the site itself."""

import subprocess

from scripts.docs_site.stage import page_of
from tests.harness.places import ROOT


def listed(*options: str) -> list[str]:
    command = ["git", "ls-files", "-z", *options]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in output.split("\0") if name]


def test_every_file_of_the_repository_has_a_page_of_its_own_that_the_generator_shows() -> None:
    pages = [page_of(name) for name in listed()]
    assert [page for page in pages if "/." in f"/{page}"] == [], "the generator leaves out hidden files and folders"
    assert len(set(pages)) == len(pages)


def test_no_build_is_committed() -> None:
    assert listed("--cached", "--ignored", "--exclude-standard") == []
