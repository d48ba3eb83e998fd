from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.world import World, small_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path) as world:
        yield world
