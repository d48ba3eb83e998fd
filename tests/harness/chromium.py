"""Chromium as the machine has it, with nothing that talks to the internet on its own."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

STARTS_TIMEOUT: Final = 120_000  # milliseconds, for a machine that is busy
HEADED: Final = os.environ.get("HEADED") == "1"
SLOWED: Final = 500  # milliseconds between two steps that a person watches
ARGUMENTS: Final = [
    "--no-sandbox",  # test machines run as root, where the sandbox does not start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # The back/forward cache is off under automation, and must be survived.
    "--enable-features=BackForwardCache",
]


def check_display() -> None:
    """Raises RuntimeError where HEADED=1 asks for a window and there is no display."""
    if HEADED and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise RuntimeError("HEADED=1 needs a display. Set DISPLAY or WAYLAND_DISPLAY, or run it under xvfb-run")


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Browser]:
    """With more command line `arguments`.

    Raises RuntimeError with the line that installs it, where it is missing, and for a window without a display.
    """
    check_display()
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("Chromium is missing. Install it with: scripts/need chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=[*ARGUMENTS, *arguments, *([] if HEADED else ["--headless=new"])],
            headless=not HEADED,
            slow_mo=SLOWED if HEADED else 0,
            ignore_default_args=["--disable-back-forward-cache"],
            timeout=STARTS_TIMEOUT,
        )
        try:
            yield browser
        finally:
            await browser.close()
