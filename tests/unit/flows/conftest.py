"""Every test runs on a loop that never waits."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from tests.harness.virtual_time import VirtualTimeLoop
from tests.unit.flows.parts import Parts


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    return {"virtual time": VirtualTimeLoop}


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    running = Parts()
    yield running
    await running.tasks.drain(0)
