"""Chromium 150, which binds sessions to keys in software. Later versions ignore that switch and need a TPM.

Debian's archive still has it beside the current one. It is unpacked into var/, once, and never installed.
"""

import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, async_playwright

from tests.harness.chromium import ARGUMENTS, STARTS_TIMEOUT
from tests.harness.places import ROOT

VERSION: Final = "150.0.7871.100-1~deb12u1"
PACKAGES: Final = ("chromium", "chromium-common")
FOLDER: Final = ROOT / "var" / "device-bound" / f"chromium-{VERSION}"
FEATURES: Final = "DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting"


def unpacked() -> Path:
    """The program. Raises RuntimeError where the packages cannot be had."""
    program = FOLDER / "usr/lib/chromium/chromium"
    if program.exists():
        return program
    partial = FOLDER.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    # The sandbox user of apt cannot write here, about which it warns.
    for command in (["apt-get", "download", *(f"{name}={VERSION}" for name in PACKAGES)],):
        _run(command, partial)
    for package in sorted(partial.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(partial)], partial)
        package.unlink()
    partial.rename(FOLDER)
    return program


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"Chromium {VERSION} cannot be had: {' '.join(command)} failed. It needs Debian bookworm (amd64) with its "
            f"main archive, after apt-get update.\n{done.stderr}"
        )


@asynccontextmanager
async def old_chromium(profile: Path) -> AsyncIterator[BrowserContext]:
    """With a profile of its own: a signature quota belongs to a profile."""
    arguments = [argument for argument in ARGUMENTS if not argument.startswith("--enable-features")]
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(profile),
            executable_path=unpacked(),
            args=[*arguments, "--headless=new", f"--enable-features={FEATURES}"],
            headless=False,
            timeout=STARTS_TIMEOUT,
        )
        try:
            yield context
        finally:
            await context.close()
