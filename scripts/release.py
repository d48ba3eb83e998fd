"""`make release` builds a release into dist/VERSION, checks it, and prints the commands that publish it.

It publishes nothing. RELEASE_URL, the https address of the public repository, becomes part of the metadata and of every
link of the long description; without it there is no release. A dry run (`--dry-run`) does the same work with what a
release would refuse: an unfinished changelog, uncommitted changes, no RELEASE_URL.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

ROOT: Final = Path(__file__).resolve().parent.parent
CLIENT: Final = "clients/js"
DRY_RUN_URL: Final = "https://example.invalid/okta-bff"
LINK: Final = re.compile(r"(!?\[[^\]]*\]\()(?!https?://|#|mailto:)([^)\s]+)(\))")


class Refusal(Exception):
    """What prevents a release, one line for each problem."""


@dataclass(frozen=True, slots=True)
class Release:
    version: str
    revision: str  # the commit
    commit_time: int  # seconds since the epoch
    url: str

    @property
    def tag(self) -> str:
        return f"v{self.version}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds a release into dist/VERSION. Publishes nothing.")
    parser.add_argument("--dry-run", action="store_true", help="report what a release would refuse, and go on")
    parser.add_argument("--without-npm", action="store_true", help="leave out the npm package")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    url = os.environ.get("RELEASE_URL", "").rstrip("/")
    release = Release(current_version(), git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct")), url)
    problems = problems_of(release)
    for problem in problems:
        print(f"{'a release would refuse' if options.dry_run else 'refused'}: {problem}", file=sys.stderr)
    if problems and not options.dry_run:
        return 1
    if not url:
        release = Release(release.version, release.revision, release.commit_time, DRY_RUN_URL)
    try:
        target = build(release, options.output / release.version, with_npm=not options.without_npm)
    except Refusal as refusal:
        print(f"refused: {refusal}", file=sys.stderr)
        return 1
    print(next_steps(release, target))
    return 0


def current_version() -> str:
    found = re.search(r'(?m)^__version__ = "(.*)"', (ROOT / "bff" / "__init__.py").read_text("utf-8"))
    assert found is not None
    return found[1]


def problems_of(release: Release) -> list[str]:
    """What a release refuses, before anything is built."""
    problems = []
    parts = urlsplit(release.url)
    if not release.url:
        problems.append(
            "RELEASE_URL is not set: the https address of the public repository, without a slash at the end."
        )
    elif parts.scheme != "https" or not parts.hostname or not parts.path.strip("/") or parts.query or parts.fragment:
        problems.append(
            "RELEASE_URL is not an https address of a repository, like https://git.example.com/team/okta-bff."
        )
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", release.version):
        problems.append(f"the version {release.version} in bff/__init__.py is none of a release.")
    heading = re.search(r"(?m)^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    if heading is None or not re.fullmatch(rf"{re.escape(release.version)} \(\d{{4}}-\d\d-\d\d\)", heading[1]):
        found = "no version" if heading is None else heading[1]
        problems.append(f"CHANGELOG.md begins with {found}: write `## {release.version} (YYYY-MM-DD)`.")
    for name, version in other_versions().items():
        if version != release.version:
            problems.append(f"{name} has the version {version}, and bff/__init__.py {release.version}.")
    if git("status", "--porcelain"):
        problems.append("there are uncommitted changes: a release is built from a commit.")
    tagged = git("tag", "--list", release.tag) and git("rev-list", "-n", "1", release.tag)
    if tagged and tagged != release.revision:
        problems.append(f"the tag {release.tag} is at another commit.")
    return problems


def other_versions() -> dict[str, str]:
    """The versions that other files have, which are released together."""
    chart = (ROOT / "deploy" / "helm" / "okta-bff" / "Chart.yaml").read_text("utf-8")
    found = {
        f"the chart ({name})": version
        for name, version in re.findall(r'(?m)^(version|appVersion): "?([^"\n]+)"?$', chart)
    }
    package = ROOT / CLIENT / "package.json"
    if package.exists():
        found[f"{CLIENT}/package.json"] = json.loads(package.read_text("utf-8"))["version"]
    return found


def build(release: Release, target: Path, *, with_npm: bool) -> Path:
    """Everything but the image. Raises Refusal."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / f"okta-bff-{release.version}"
        export(release.revision, source)
        prepare_metadata(source, release)
        environ = {"SOURCE_DATE_EPOCH": str(release.commit_time)}
        run(
            sys.executable,
            "-m",
            "hatchling",
            "build",
            "-t",
            "sdist",
            "-t",
            "wheel",
            "-d",
            str(target),
            cwd=source,
            environ=environ,
        )
        distributions = [str(path) for path in sorted(target.iterdir())]
        run(tool("twine"), "check", "--strict", *distributions, cwd=source)
        sbom = run(sys.executable, "scripts/sbom.py", tool("uv"), "requirements.lock", cwd=source)
        (target / f"okta-bff-{release.version}.cdx.json").write_text(sbom, "utf-8")
        if with_npm and (source / CLIENT).is_dir():
            pack_client(source / CLIENT, release, target)
        pack_chart(source / "deploy" / "helm" / "okta-bff", release, target)
    write_checksums(target)
    return target


def tool(name: str) -> str:
    """The path of a program of requirements-release.lock. Raises Refusal."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    found = shutil.which(name, path=places)
    if found is None:
        raise Refusal(f"{name} is missing; `make release` installs it.")
    return found


def export(revision: str, target: Path) -> None:
    """The files of the commit: what is not committed is not released."""
    target.mkdir()
    archive = target.parent / "source.tar"
    run("git", "archive", "--format=tar", f"--output={archive}", revision, cwd=ROOT)
    with tarfile.open(archive) as files:
        files.extractall(target, filter="data")


def prepare_metadata(source: Path, release: Release) -> None:
    """Adds the URLs of the project, and makes the links of the long description lead to the repository."""
    pyproject = source / "pyproject.toml"
    urls = {
        "Homepage": release.url,
        "Source": release.url,
        "Documentation": f"{release.url}/blob/{release.tag}/docs/index.md",
        "Changelog": f"{release.url}/blob/{release.tag}/CHANGELOG.md",
        "Issues": f"{release.url}/issues",
        "Security": f"{release.url}/blob/{release.tag}/SECURITY.md",
    }
    table = "\n".join(f'{name} = "{url}"' for name, url in urls.items())
    text = pyproject.read_text("utf-8")
    pyproject.write_text(
        text.replace("\n[project.scripts]", f"\n[project.urls]\n{table}\n\n[project.scripts]", 1), "utf-8"
    )
    readme = source / "README.md"
    readme.write_text(absolute_links(readme.read_text("utf-8"), release), "utf-8")


def absolute_links(text: str, release: Release) -> str:
    """Relative links and images, for a page outside of the repository."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link[1].startswith("!") else "blob"
        return f"{link[1]}{release.url}/{kind}/{release.tag}/{link[2].removeprefix('./')}{link[3]}"

    return LINK.sub(absolute, text)


def pack_client(source: Path, release: Release, target: Path) -> None:
    manifest = source / "package.json"
    package = json.loads(manifest.read_text("utf-8"))
    package["repository"] = {"type": "git", "url": f"git+{release.url}.git", "directory": CLIENT}
    package["homepage"] = f"{release.url}/tree/{release.tag}/{CLIENT}"
    package["bugs"] = {"url": f"{release.url}/issues"}
    manifest.write_text(json.dumps(package, indent=2) + "\n", "utf-8")
    readme = source / "README.md"
    if readme.exists():
        readme.write_text(absolute_links(readme.read_text("utf-8"), release), "utf-8")
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=source)
    run("npm", "run", "build", cwd=source)
    run("npm", "pack", "--ignore-scripts", "--pack-destination", str(target), cwd=source)


def pack_chart(chart: Path, release: Release, target: Path) -> None:
    """As `helm package` does: a tarball of the chart without its values files for tests."""
    ignored = {line.strip("/") for line in (chart / ".helmignore").read_text("utf-8").splitlines()} | {".helmignore"}
    with tarfile.open(target / f"okta-bff-chart-{release.version}.tgz", "w:gz") as archive:
        for path in sorted(chart.rglob("*")):
            inside = path.relative_to(chart)
            if path.is_file() and inside.parts[0] not in ignored:
                archive.add(path, f"okta-bff/{inside}")


def write_checksums(target: Path) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(target.iterdir())]
    (target / "SHA256SUMS").write_text("\n".join(lines) + "\n", "utf-8")


def next_steps(release: Release, target: Path) -> str:
    """The commands that publish, for a person who has looked at the files."""
    created = datetime.fromtimestamp(release.commit_time, UTC).isoformat()
    files = "\n".join(f"    {path.name}" for path in sorted(target.iterdir()))
    return f"""{target}:
{files}
Publish it, in this order:
    git tag --sign {release.tag} {release.revision}
    twine upload {target}/*.whl {target}/*.tar.gz
    npm publish {target}/okta-bff-client-{release.version}.tgz --access public
    helm push {target}/okta-bff-chart-{release.version}.tgz oci://registry.example.com/charts
    VERSION={release.version} REVISION={release.revision} SOURCE={release.url} CREATED={created} \\
        IMAGE=registry.example.com/okta-bff docker buildx bake --file deploy/docker-bake.json --push"""


def git(*arguments: str) -> str:
    return run("git", *arguments, cwd=ROOT).strip()


def run(*command: str, cwd: Path, environ: dict[str, str] | None = None) -> str:
    """Its output. Raises Refusal."""
    try:
        done = subprocess.run(  # noqa: S603
            command, cwd=cwd, env={**os.environ, **(environ or {})}, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise Refusal(f"{command[0]} is missing.") from None
    if done.returncode != 0:
        raise Refusal(f"{' '.join(command[:4])} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
