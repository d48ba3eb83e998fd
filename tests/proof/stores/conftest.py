"""Opens each kind of store for the contract, and Redis servers to do harm to."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from bff.session.keyring import KeyRing, new_key
from bff.session.store import SessionStore
from bff.storage.open import open_store
from tests.harness import memory_store
from tests.harness.memory_store import MemoryData, MemoryStore
from tests.harness.patience import PATIENT_STORES
from tests.harness.redis_servers import RedisServer, Watched, cluster, one_server, watched
from tests.harness.remote_store import RemoteStore, stores_of_another_process

KINDS = ("memory", "sqlite", "sqlite of two processes", "redis", "sentinel", "cluster")
SEVERAL_SERVERS = ("sentinel", "cluster")  # started once, by the worker that runs all tests with them


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing.from_keys([new_key()])


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Shared by the tests of a run: do not stop it."""
    with one_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as servers:
        yield servers


@pytest.fixture(scope="session")
def redis_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("sentinel")) as servers:
        yield servers


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test's own, to be killed, frozen and filled."""
    with one_server(tmp_path / "redis") as server:
        yield server


@pytest.fixture
async def store(own_server: RedisServer, ring: KeyRing) -> AsyncIterator[SessionStore]:
    """Waits as long as it takes: for tests of what a store does, and not of how soon it gives up."""
    opened = open_store(own_server.url, ring, timeouts=PATIENT_STORES)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def other_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with stores_of_another_process(tmp_path_factory.mktemp("process")) as path:
        yield path


@pytest.fixture(
    params=[
        pytest.param(kind, marks=[pytest.mark.xdist_group(kind)] if kind in SEVERAL_SERVERS else []) for kind in KINDS
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def servers(kind: str, request: pytest.FixtureRequest) -> list[RedisServer]:
    match kind:
        case "redis":
            return [request.getfixturevalue("redis_server")]
        case "sentinel":
            return list(request.getfixturevalue("redis_sentinel").servers)
        case "cluster":
            return list(request.getfixturevalue("redis_cluster"))
        case _:
            return []


@pytest.fixture
def store_url(kind: str, servers: list[RedisServer], tmp_path: Path, request: pytest.FixtureRequest) -> str:
    prefix = f"?prefix=test-{uuid4().hex}:"
    match kind:
        case "redis":
            return servers[0].url + prefix
        case "sentinel":
            return str(request.getfixturevalue("redis_sentinel").url) + prefix
        case "cluster":
            return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in servers) + prefix
        case _:
            return f"sqlite:///{tmp_path}/private/bff.db"


@pytest.fixture
def memory() -> MemoryData:
    return MemoryData(clock=time.time)


@pytest.fixture
async def store_factory(
    kind: str, store_url: str, ring: KeyRing, memory: MemoryData, request: pytest.FixtureRequest
) -> AsyncIterator[Callable[..., SessionStore]]:
    """Each call opens another store on the same data, as another replica would."""
    opened: list[Any] = []

    def open_one(ring: KeyRing = ring, **options: Any) -> SessionStore:
        if kind == "memory":
            return MemoryStore(memory, ring, **options)
        if kind == "sqlite of two processes" and len(opened) % 2:
            other = request.getfixturevalue("other_process")
            opened.append(RemoteStore(other, store_url, ring, options))
            return opened[-1]  # type: ignore[no-any-return]
        opened.append(open_store(store_url, ring, timeouts=PATIENT_STORES, **options))
        return opened[-1]  # type: ignore[no-any-return]

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def dump(kind: str, store_url: str, servers: list[RedisServer], memory: MemoryData) -> Callable[[], Awaitable[bytes]]:
    """Every byte that the store keeps."""

    async def read() -> bytes:
        if kind == "memory":
            return memory_store.content_of(memory)
        if kind.startswith("sqlite"):
            database = Path(store_url.removeprefix("sqlite:///"))
            return b"".join(part.read_bytes() for part in database.parent.iterdir())
        return b"".join(content_of(server) for server in servers)

    return read


def content_of(server: RedisServer) -> bytes:
    """All keys and values, as they lie there."""
    found = []
    with redis.Redis(port=server.port, protocol=2) as client:
        for key in client.scan_iter():
            match client.type(key):
                case b"hash":
                    value = client.hgetall(key)
                case b"zset":
                    value = dict.fromkeys(client.zrange(key, 0, -1), b"")
                case _:
                    value = {b"": client.get(key) or b""}
            found += [key, *value.keys(), *value.values()]
    return b"\n".join(found)
