"""Chromium as the machine has it, headless, with nothing that talks to the internet on its own."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from playwright.async_api import Browser, async_playwright

STARTS_TIMEOUT: Final = 120_000  # milliseconds, for a machine that is busy
ARGUMENTS: Final = [
    "--headless=new",
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


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Raises RuntimeError with the line that installs it, where it is missing."""
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("Chromium is missing. Install it with: scripts/need chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=ARGUMENTS,
            ignore_default_args=["--disable-back-forward-cache"],
            timeout=STARTS_TIMEOUT,
        )
        try:
            yield browser
        finally:
            await browser.close()
