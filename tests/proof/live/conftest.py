from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.redis_servers import RedisServer, one_server
from tests.proof.live.fleet import Fleet, running_fleet


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with one_server(tmp_path / "redis") as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def two_replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    """On Redis, for tests that leave both running; their modules have `ON_TWO_REPLICAS` as their mark."""
    directory = tmp_path_factory.mktemp("two-replicas")
    with one_server(directory / "redis") as redis:
        async with running_fleet(directory, redis.url, replicas=2, lifetime=3600) as fleet:
            yield fleet
