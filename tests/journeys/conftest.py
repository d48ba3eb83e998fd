import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.harness.audit_trail import Trail
from tests.harness.world import World, small_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path) as world:
        yield world


@pytest.fixture
def trail() -> Iterator[Trail]:
    """The audit records of the test."""
    trail, logger = Trail(), logging.getLogger("bff.audit")
    before = logger.level
    logger.setLevel(logging.INFO)  # not by setting the attribute: loggers cache which levels are enabled
    logger.addHandler(trail)
    yield trail
    logger.removeHandler(trail)
    logger.setLevel(before)
