"""Which Redis server holds a key, and its connections: one server, a Sentinel service, or a Cluster. redis-py opens
connections and implements the protocol. It never retries; `client.py` does, for idempotent commands. The Cluster slot
map is our own, because a write and its WAIT need the same connection.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol, TypeAlias

from redis.asyncio import ConnectionPool, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, ReadOnlyError, RedisError, ResponseError

from bff.storage.credentials import ChangingCredentials
from bff.storage.redis.login import RedisLogin, login_of
from bff.storage.redis.url import RedisTarget
from bff.storage.timeouts import RedisTimeouts

CONNECTIONS: Final = 64  # connections to one server; `client.py` never needs more

Command: TypeAlias = tuple[str | bytes | int | float, ...]
Address: TypeAlias = tuple[str, int]


async def exchange(pool: ConnectionPool, commands: Sequence[Command]) -> list[Any]:
    """Sends the commands on one connection and reads one reply for each; error replies are among the replies.

    A connection with unread replies is closed, so that no caller receives another's reply.
    """
    connection = await pool.get_connection()  # type: ignore[no-untyped-call]
    whole, login = False, login_of(pool)
    try:
        if login is not None:
            await login.renew(connection)
        await connection.send_packed_command(connection.pack_commands(commands))
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await connection.read_response())
            except ResponseError as error:
                replies.append(error)
        whole = True
        return replies
    finally:
        if not whole:
            await connection.disconnect(nowait=True)
        await asyncio.shield(pool.release(connection))


class Servers(Protocol):
    multi_key: bool  # whether a script may name any keys; in a Cluster only keys of one slot

    def name_for(self, key: str) -> str:
        """Identifies the server of `key` for its circuit breaker."""
        ...

    async def pool_for(self, key: str) -> ConnectionPool: ...

    async def pools(self) -> Sequence[ConnectionPool]:
        """One for each server that holds keys."""
        ...

    def redirected(self, error: AskError, moved: bool) -> ConnectionPool:
        """The server of a MOVED or ASK reply. Raises it again if there is no Cluster."""
        ...

    async def recover(self, error: Exception) -> None:
        """After a failure: the master may have changed."""
        ...

    async def close(self) -> None: ...


class OneServer:
    """A server at a fixed address, or the master according to Sentinel, which redis-py's pool queries."""

    multi_key = True

    def __init__(self, pool: ConnectionPool, sentinel: Sentinel | None = None) -> None:
        self._pool, self._sentinel = pool, sentinel

    def name_for(self, key: str) -> str:
        return "server"

    async def pool_for(self, key: str) -> ConnectionPool:
        return self._pool

    async def pools(self) -> Sequence[ConnectionPool]:
        return [self._pool]

    def redirected(self, error: AskError, moved: bool) -> ConnectionPool:
        raise error

    async def recover(self, error: Exception) -> None:
        if isinstance(error, ReadOnlyError):
            # Idle connections may lead to a demoted server; a new connection resolves DNS or Sentinel again.
            await self._pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await self._pool.aclose()
        for sentinel in self._sentinel.sentinels if self._sentinel else ():
            await sentinel.aclose()


class Cluster:
    multi_key = False
    RELOAD: Final = 0.2  # minimum seconds between two reloads of the slot map, however many MOVED replies arrive

    def __init__(self, seeds: Sequence[Address], options: dict[str, Any]) -> None:
        self._seeds, self._options = tuple(seeds), options
        self._pools: dict[Address, ConnectionPool] = {}
        self._slots: dict[int, Address] = {}
        self._stale, self._reload_at = True, 0.0
        self._loading = asyncio.Lock()
        self._informant: Address = self._seeds[0]

    def name_for(self, key: str) -> str:
        return str(self._slots.get(key_slot(key.encode()), "cluster"))

    async def pool_for(self, key: str) -> ConnectionPool:
        slot = key_slot(key.encode())
        # While one operation reloads the map the others use the old one, which is right for most slots.
        if self._stale and not (self._loading.locked() and slot in self._slots):
            async with self._loading:
                await self._load_if_due()
        address = self._slots.get(slot)
        if address is None:
            self._stale = True
            raise ClusterDownError("no server keeps this slot")
        return self._pool(address)

    async def pools(self) -> Sequence[ConnectionPool]:
        await self.pool_for("")  # loads the map
        return [self._pool(address) for address in dict.fromkeys(self._slots.values())]

    def redirected(self, error: AskError, moved: bool) -> ConnectionPool:
        address = (error.host, int(error.port))
        if moved:
            self._slots[int(error.slot_id)] = address
            self._stale = True
        return self._pool(address)

    async def recover(self, error: Exception) -> None:
        self._stale = True

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, address: Address) -> ConnectionPool:
        if address not in self._pools:
            host, port = address
            self._pools[address] = ConnectionPool(host=host, port=port, **self._options)
        return self._pools[address]

    async def _load_if_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._stale or now < self._reload_at:
            return
        self._reload_at = now + self.RELOAD
        failure: Exception = ClusterDownError("no server of the cluster answered")
        for address in dict.fromkeys((self._informant, *self._slots.values(), *self._seeds)):
            try:
                (reply,) = await exchange(self._pool(address), [("CLUSTER", "SLOTS")])
                if isinstance(reply, Exception):
                    raise reply
                slots = {
                    slot: (master[0].decode() or address[0], int(master[1]))
                    for first, last, master, *_ in reply
                    for slot in range(first, last + 1)
                }
            except (RedisError, OSError, ValueError, TypeError, AttributeError) as error:
                failure = error
                continue
            if slots:
                self._slots, self._stale, self._informant = slots, False, address
                return
        raise failure


def servers_of(
    target: RedisTarget, timeouts: RedisTimeouts, changing: ChangingCredentials | None = None
) -> OneServer | Cluster:
    """Opens no connection yet. `changing` take the place of the credentials of `target`."""
    # RESP 2 and no driver info: fewer commands on connecting, so a smaller ACL.
    common: dict[str, Any] = {
        "socket_connect_timeout": timeouts.connect,
        "socket_timeout": timeouts.reply,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        "driver_info": None,
    }
    tls = {"ssl_ca_certs": target.options.get("ca_file")} if target.tls else {}
    fixed = {"username": target.username, "password": target.password}
    options = common | tls | (fixed if changing is None else RedisLogin(changing).options)
    pooled = options | {"max_connections": CONNECTIONS} | ({"connection_class": SSLConnection} if target.tls else {})
    match target.topology:
        case "cluster":
            return Cluster(target.addresses, pooled)
        case "server":
            ((host, port),) = target.addresses
            return OneServer(ConnectionPool(host=host, port=port, db=target.db, **pooled))
        case "sentinel":
            secure = {"ssl": True} if target.tls else {}
            credentials = {name: target.options.get(f"sentinel_{name}") for name in ("username", "password")}
            asked = common | tls | secure | credentials
            sentinel = Sentinel(target.addresses, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
            service = {"service_name": target.service, "sentinel_manager": sentinel, "db": target.db}
            limits = {"max_connections": CONNECTIONS}
            pool = SentinelConnectionPool(**service, **limits, **options, **secure)  # type: ignore[no-untyped-call]
            return OneServer(pool, sentinel)
