"""Every test runs on a loop that never waits."""

from collections.abc import Callable, Mapping
from typing import Any

from tests.harness.virtual_time import VirtualTimeLoop


def pytest_asyncio_loop_factories(config: Any, item: Any) -> Mapping[str, Callable[[], Any]]:
    return {"virtual time": VirtualTimeLoop}
