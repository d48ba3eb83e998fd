"""Redis servers in memory: each answers commands by a function of a test's choice, over redis-py's own pool."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from bff.storage.redis.topology import Command
from tests.harness.virtual_time import time_passes

Answer = Callable[[Command], Any]


@dataclass
class Server:
    """`answer` returns a reply, or an exception: that of an error reply, or of a connection that breaks."""

    answer: Answer
    delay: float = 0.0  # seconds
    received: list[Command] = field(default_factory=list)
    exchanges: list[int] = field(default_factory=list)  # how many commands came together


class Connection:
    def __init__(self, *, host: str, port: int, network: dict[int, Server], **_: Any) -> None:
        self._network, self._port, self._unanswered = network, port, list[Command]()

    async def connect(self) -> None:
        if self._port not in self._network:
            raise RedisConnectionError

    async def disconnect(self, nowait: bool = False) -> None:
        self._unanswered.clear()

    async def can_read(self) -> bool:
        return bool(self._unanswered)

    def should_reconnect(self) -> bool:
        return False

    async def re_auth(self) -> None: ...

    def pack_commands(self, commands: list[Command]) -> list[Command]:
        return list(commands)

    async def send_packed_command(self, commands: list[Command]) -> None:
        server = self._network[self._port]
        server.received += commands
        server.exchanges.append(len(commands))
        self._unanswered += commands

    async def read_response(self) -> Any:
        server = self._network[self._port]
        await time_passes(server.delay)
        reply = server.answer(self._unanswered.pop(0))
        if isinstance(reply, Exception):
            raise reply
        return reply


def pool_of(network: dict[int, Server], port: int) -> ConnectionPool:
    kind: Any = Connection
    return ConnectionPool(host="redis", port=port, network=network, connection_class=kind, max_connections=64)


def error(message: str) -> ResponseError:
    return ResponseError(message)
