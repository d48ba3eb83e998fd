"""`make release` in a clone of this repository's last commit: what it refuses, and what its dry run builds."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from bff import __version__
from tests.deploy.tools import KUBE_VERSION, helm
from tests.harness.places import ROOT
from tests.providers.installing import install, run

pytestmark = pytest.mark.deploy

URL = "https://git.example.com/team/okta-bff"
LOCK = ROOT / "requirements-release.lock"
TIMEOUT = 3600  # seconds


def git(repository: Path, *arguments: str) -> None:
    person = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *person, *arguments], cwd=repository, check=True, capture_output=True, timeout=TIMEOUT)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone that is ready for a release."""
    clone = tmp_path / "repository"
    git(tmp_path, "clone", "--quiet", "--shared", "--no-tags", str(ROOT), str(clone))
    change(clone, "CHANGELOG.md", r"(?m)^## .*$", f"## {__version__} (2026-01-31)")
    return clone


def change(repository: Path, name: str, pattern: str, text: str) -> None:
    path = repository / name
    path.write_text(re.sub(pattern, text, path.read_text("utf-8"), count=1), "utf-8")
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", f"Change {name}")


def release(repository: Path, *options: str, url: str | None = URL) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name != "RELEASE_URL"}
    environ |= {"RELEASE_URL": url} if url is not None else {}
    environ["PATH"] = f"{release_tools()}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, str(repository / "scripts" / "release.py"), *options]
    return subprocess.run(
        command, cwd=repository, env=environ, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


def release_tools() -> Path:
    """The folder of twine and uv, in the versions of the lock file."""

    def fetch(folder: Path) -> None:
        run(sys.executable, "-m", "venv", str(folder / "venv"), cwd=folder)
        pip = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, "--require-hashes", "-r", str(LOCK), cwd=folder)

    return install("release", [LOCK], fetch) / "venv" / "bin"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (None, "RELEASE_URL is not set"),
        ("", "RELEASE_URL is not set"),
        ("http://git.example.com/team/okta-bff", "is not an https address"),
        ("https://git.example.com", "is not an https address"),
    ],
)
def test_without_an_address_there_is_no_release(repository: Path, url: str | None, said: str) -> None:
    done = release(repository, url=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert not (repository / "dist").exists()


@pytest.mark.parametrize(
    ("name", "pattern", "text", "said"),
    [
        ("CHANGELOG.md", r"(?m)^## .*$", f"## Unreleased ({__version__})", "CHANGELOG.md begins with Unreleased"),
        ("bff/__init__.py", r"(?m)^__version__ = .*$", '__version__ = "0.2.0.dev1"', "is none of a release"),
        (
            "clients/js/package.json",
            r'"version": ".*"',
            '"version": "9.9.9"',
            "package.json has the version 9.9.9",
        ),
        ("deploy/helm/okta-bff/Chart.yaml", r"(?m)^version: .*$", "version: 9.9.9", "the chart (version)"),
    ],
)
def test_what_does_not_agree_with_the_version_is_refused(
    repository: Path, name: str, pattern: str, text: str, said: str
) -> None:
    change(repository, name, pattern, text)
    done = release(repository)
    assert done.returncode == 1
    assert said in done.stderr


def test_uncommitted_changes_and_the_tag_of_another_commit_are_refused(repository: Path) -> None:
    git(repository, "tag", f"v{__version__}")
    change(repository, "README.md", r"\Z", "\nA later commit.\n")
    (repository / "README.md").write_text("uncommitted", "utf-8")
    done = release(repository)
    assert done.returncode == 1
    assert "there are uncommitted changes" in done.stderr
    assert f"the tag v{__version__} is at another commit" in done.stderr


def test_a_dry_run_builds_everything(repository: Path, tmp_path: Path) -> None:
    change(repository, "CHANGELOG.md", r"(?m)^## .*$", f"## Unreleased ({__version__})")
    done = release(repository, "--dry-run", "--output", str(tmp_path / "dist"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("a release would refuse:") == 1, "the changelog"
    built = tmp_path / "dist" / __version__
    names = {path.name for path in built.iterdir()}
    wheel, sdist = f"okta_bff-{__version__}-py3-none-any.whl", f"okta_bff-{__version__}.tar.gz"
    package, bill = f"okta-bff-client-{__version__}.tgz", f"okta-bff-{__version__}.cdx.json"
    assert names == {wheel, sdist, package, bill, f"okta-bff-chart-{__version__}.tgz", "SHA256SUMS"}
    for line in (built / "SHA256SUMS").read_text("utf-8").splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((built / name).read_bytes()).hexdigest() == digest
        names.remove(name)
    assert names == {"SHA256SUMS"}
    check_metadata(built / wheel)
    with tarfile.open(built / package) as archive:
        manifest = json.load(archive.extractfile("package/package.json") or pytest.fail("no package.json"))
        assert "package/dist/index.js" in archive.getnames()
    assert manifest["repository"]["url"] == f"git+{URL}.git"
    values = ROOT / "deploy" / "helm" / "okta-bff" / "ci" / "minimal.yaml"
    chart = str(built / f"okta-bff-chart-{__version__}.tgz")
    run(str(helm()), "template", "bff", chart, "--kube-version", KUBE_VERSION, "--values", str(values), cwd=tmp_path)
    named = re.findall(r"\S+/([\w.*-]+\.(?:whl|tar\.gz|tgz))", done.stdout)
    assert sorted(found.name for pattern in named for found in built.glob(pattern)) == sorted(
        name for name in (wheel, sdist, package, Path(chart).name)
    )
    components = json.loads((built / bill).read_text("utf-8"))["components"]
    assert {"fastapi", "redis", "uvicorn"} <= {component["name"] for component in components}
    assert "docker buildx bake --file deploy/docker-bake.json" in done.stdout
    assert not list(repository.glob("dist"))
    wheel_of_the_sdist_is_the_same(built / sdist, built / wheel, tmp_path)


def check_metadata(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = HeaderParser().parsestr(archive.read(name).decode())
        assert "bff/py.typed" in archive.namelist()
    assert metadata["Author"] == "The okta-bff authors"
    urls = dict(value.split(", ") for value in metadata.get_all("Project-URL") or ())
    assert {"Homepage", "Source", "Documentation", "Changelog", "Issues", "Security"} == urls.keys()
    assert all(address.startswith(URL) for address in urls.values())
    assert "Typing :: Typed" in (metadata.get_all("Classifier") or ())
    assert metadata["Keywords"]
    description = metadata.get_payload()
    assert isinstance(description, str)
    targets = re.findall(r"\]\(([^)\s]+)\)", description)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith(("https://", "http://", "#"))] == []
    assert "![The demo" in description
    assert f"({URL}/raw/v{__version__}/docs/images/demo.png)" in description


def wheel_of_the_sdist_is_the_same(sdist: Path, wheel: Path, folder: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "sdist", filter="data")
    (source,) = (folder / "sdist").iterdir()
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "again")]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=TIMEOUT)
    (again,) = (folder / "again").iterdir()
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert {entry.filename: entry.CRC for entry in first.infolist()} == {
            entry.filename: entry.CRC for entry in second.infolist()
        }


def test_a_release_that_agrees_with_itself_is_built(repository: Path) -> None:
    done = release(repository, "--without-npm")
    assert (done.returncode, done.stderr) == (0, "")
    assert (repository / "dist" / __version__ / "SHA256SUMS").exists()
    assert f"git tag --sign v{__version__}" in done.stdout


def test_the_images_of_a_release_have_their_labels() -> None:
    bake = json.loads((ROOT / "deploy" / "docker-bake.json").read_text("utf-8"))
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    image = bake["target"]["bff"]
    assert image["platforms"] == ["linux/amd64", "linux/arm64"]
    declared = set(re.findall(r"(?m)^ARG (\w+)=", dockerfile))
    for target in bake["target"].values():
        assert target["args"].keys() <= declared
    assert {name: f"${{{name}}}" for name in image["args"]} == image["args"]
    assert image["args"].keys() <= bake["variable"].keys()
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', dockerfile))
    assert {"title", "description", "authors", "licenses", "source", "created", "version", "revision"} == labels.keys()
    assert {value for value in labels.values() if "$" in value} == set(image["args"].values())
