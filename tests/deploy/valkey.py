"""Brings valkey-server from Debian's packages, without installing it: no other program of this machine changes."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.providers.installing import InstallationFailed, install, run

PACKAGES: Final = ("valkey-server", "valkey-tools")
RELEASE: Final = Path("/etc/os-release")


def valkey_server() -> Path:
    """The program: that of this machine, or one from the archive that apt uses, backports included.

    Raises InstallationFailed if neither has it.
    """
    installed = shutil.which("valkey-server")
    if installed is not None:
        return Path(installed)
    return install("valkey", [Path(__file__)], _unpack) / "root" / "usr" / "bin" / "valkey-server"


def _unpack(folder: Path) -> None:
    archive, codename = _archive(), _codename()
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    lines = (f"deb [signed-by={keyring}] {archive} {suite} main" for suite in (codename, f"{codename}-backports"))
    sources = folder / "sources.list"
    sources.write_text("\n".join(lines) + "\n", "utf-8")
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    own = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [argument for name, value in own.items() for argument in ("-o", f"{name}={value}")]
    run("apt-get", *options, "update", "-qq", cwd=folder)
    run("apt-get", *options, "download", "-qq", *PACKAGES, cwd=folder)
    shutil.rmtree(folder / "root", ignore_errors=True)
    packages = sorted(folder.glob("*.deb"))
    if len(packages) < len(PACKAGES):
        raise InstallationFailed(f"apt-get brought {[package.name for package in packages]}")
    for package in packages:
        run("dpkg", "-x", str(package), str(folder / "root"), cwd=folder)
    run(str(folder / "root" / "usr" / "bin" / "valkey-server"), "--version", cwd=folder)


def _archive() -> str:
    """The address of Debian's archive that apt of this machine uses."""
    command = ["apt-get", "indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        created_by, _, rest = line.partition(" ")
        address, _, release = rest.partition(" ")
        if created_by == "Packages" and release == _codename():
            return address
    raise InstallationFailed("apt has no archive of this release of Debian; install valkey-server")


def _codename() -> str:
    pairs = dict(line.split("=", 1) for line in RELEASE.read_text("utf-8").splitlines() if "=" in line)
    return pairs.get("VERSION_CODENAME", "")
