"""Which server holds a key: the slot map of a cluster, its redirects, and how a URL becomes connections."""

from functools import partial
from typing import Any, cast

import pytest
from redis.asyncio import SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, ReadOnlyError

from bff.storage.redis.call import Call
from bff.storage.redis.client import RedisLink
from bff.storage.redis.topology import Cluster, Command, OneServer, servers_of
from bff.storage.redis.url import parse_redis_url
from bff.storage.timeouts import RedisTimeouts
from tests.harness.virtual_time import time_passes
from tests.unit.storage.redis.network import Connection, Server

KEY = "bff:{x}"
SLOT = key_slot(KEY.encode())
GET = Call(KEY, None, args=("GET", KEY), write=False)


class ClusterOfTwo:
    """`KEY` is at 1, which may redirect; 2 has the rest."""

    def __init__(self) -> None:
        self.owner, self.redirect = 1, cast("AskError | None", None)
        self.network = {port: Server(partial(self._answer, port)) for port in (1, 2)}
        options = {"network": self.network, "connection_class": Connection, "max_connections": 64}
        self.cluster = Cluster([("seed", 2)], options)
        self.link = RedisLink(self.cluster, RedisTimeouts())

    def _answer(self, port: int, command: Command) -> Any:
        if command[0] == "CLUSTER":
            other = 2 if self.owner == 1 else 1
            ranges = [(0, SLOT - 1, other), (SLOT, SLOT, self.owner), (SLOT + 1, 16383, other)]
            return [[first, last, [b"host", owner, b"id"]] for first, last, owner in ranges]
        if command[0] == "ASKING":
            return b"OK"
        if self.redirect is not None and port == 1:
            return self.redirect
        return f"from {port}".encode()

    def loads(self) -> int:
        return sum(command[0] == "CLUSTER" for server in self.network.values() for command in server.received)


async def test_a_key_is_asked_for_where_its_slot_is() -> None:
    two = ClusterOfTwo()
    assert await two.link.run(GET) == b"from 1"
    assert await two.link.run(GET) == b"from 1"
    assert two.loads() == 1
    assert len(await two.cluster.pools()) == 2


async def test_ask_is_followed_for_one_command_and_moved_for_good() -> None:
    two = ClusterOfTwo()
    two.redirect = AskError(f"{SLOT} host:2")
    assert await two.link.run(GET) == b"from 2"
    assert two.network[2].received[-2:] == [("ASKING",), ("GET", KEY)]
    two.redirect, two.owner = MovedError(f"{SLOT} host:2"), 2
    assert await two.link.run(GET) == b"from 2"
    asked = len(two.network[1].received)
    assert await two.link.run(GET) == b"from 2"
    assert len(two.network[1].received) == asked
    assert await two.link.read(GET) == b"from 2"


async def test_however_many_redirects_arrive_the_map_is_loaded_now_and_then() -> None:
    two = ClusterOfTwo()
    await two.link.run(GET)
    for _ in range(10):
        await two.cluster.recover(Exception())
        await two.cluster.pool_for(KEY)
    assert two.loads() == 1
    await time_passes(Cluster.RELOAD)
    await two.cluster.recover(Exception())
    await two.cluster.pool_for(KEY)
    assert two.loads() == 2


async def test_a_map_without_the_slot_and_a_cluster_without_servers_are_errors() -> None:
    two = ClusterOfTwo()
    two.network[2].answer = lambda _: [[0, SLOT - 1, [b"host", 2, b"id"]]]
    with pytest.raises(ClusterDownError):
        await two.cluster.pool_for(KEY)
    await time_passes(1)
    two.network.clear()
    with pytest.raises(Exception):  # noqa: B017
        await two.cluster.pool_for(KEY)


async def test_a_demoted_server_loses_its_idle_connections_and_others_do_not() -> None:
    class Pool:
        closed = 0

        async def disconnect(self, *, inuse_connections: bool) -> None:
            assert not inuse_connections
            self.closed += 1

    pool: Any = Pool()
    server = OneServer(pool)
    await server.recover(OSError())
    await server.recover(ReadOnlyError())
    assert pool.closed == 1
    with pytest.raises(MovedError):
        server.redirected(MovedError(f"{SLOT} host:2"), moved=True)


@pytest.mark.parametrize("tls", ["", "s"])
def test_a_url_becomes_connections_with_its_credentials_and_timeouts(tls: str) -> None:
    timeouts = RedisTimeouts(connect=3.0, reply=4.0)
    server = servers_of(parse_redis_url(f"redis{tls}://me:pw@host:7000/2"), timeouts)
    assert isinstance(server, OneServer)
    wanted = {"host": "host", "port": 7000, "db": 2, "username": "me", "password": "pw"}
    wanted |= {"socket_connect_timeout": 3.0, "socket_timeout": 4.0}
    kwargs = server._pool.connection_kwargs
    assert {name: kwargs[name] for name in wanted} == wanted
    assert (server._pool.connection_class is SSLConnection) is bool(tls)
    sentinel = servers_of(parse_redis_url(f"redis{tls}+sentinel://h/svc?sentinel_password=s"), timeouts)
    assert isinstance(sentinel, OneServer)
    assert isinstance(sentinel._pool, SentinelConnectionPool)
    assert isinstance(servers_of(parse_redis_url(f"redis{tls}+cluster://h"), timeouts), Cluster)
