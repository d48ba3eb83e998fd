"""The web layer in memory, with the default settings."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.web_parts import Browser, WebParts, web_parts


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[WebParts]:
    async with web_parts(tmp_path) as parts:
        yield parts


@pytest.fixture
async def browser(parts: WebParts) -> Browser:
    return parts.browser()


@pytest.fixture
async def signed_in(browser: Browser) -> Browser:
    assert (await browser.sign_in()).status == 303
    return browser
