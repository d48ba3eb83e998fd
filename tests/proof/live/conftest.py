from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.redis_servers import RedisServer, one_server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with one_server(tmp_path / "redis") as server:
        yield server
