"""Sends commands to Redis: deadlines, retries, redirects, acknowledgement by replicas.

Every command runs in its own task. Cancelling a caller does not cancel it, so that no write is interrupted and no
connection returns to the pool with an unread reply. All commands are idempotent.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from redis.asyncio import ConnectionPool
from redis.exceptions import AskError, ClusterDownError, MovedError, NoScriptError, RedisError, ResponseError

from bff.errors import StoreUnavailable
from bff.session.store import InvalidPosition
from bff.storage.redis.call import Call, Read
from bff.storage.redis.circuit_breaker import CircuitBreaker
from bff.storage.redis.failures import ERROR, LOGIN_REFUSED, UNREACHABLE, WRONG_SERVER, command_rejected, unavailable
from bff.storage.redis.scripts import Script
from bff.storage.redis.topology import CONNECTIONS, Command, Servers, exchange
from bff.storage.timeouts import RedisTimeouts
from bff.telemetry import metrics

SCANNED: Final = 500  # names that one SCAN looks at
ROLE_KEPT: Final = 5.0  # seconds that the number of replicas is cached
_DELAYS: Final = (0.02, 0.1, 0.3)  # seconds between attempts

_T = TypeVar("_T")


class _NotAcknowledged(Exception):
    """No replica has acknowledged the write. It may be repeated, and must not be relied on."""


class RedisLink:
    def __init__(self, servers: Servers, timeouts: RedisTimeouts) -> None:
        self._servers, self._operation_timeout = servers, timeouts.operation
        self.multi_key = servers.multi_key
        self._acknowledge_ms = int(timeouts.acknowledge * 1000)
        self._breakers: dict[str, CircuitBreaker] = defaultdict(CircuitBreaker)
        self._replicas: dict[ConnectionPool, tuple[float, int]] = {}
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._reads: dict[str, list[Read]] = {}

    async def run(self, call: Call) -> Any:
        """The reply. Raises StoreUnavailable, and ResponseError for an error of this command."""
        try:
            return await asyncio.shield(self._start(self._within_limits(call.key, lambda: self._attempt(call))))
        except StoreUnavailable:
            metrics.STORE_ERRORS.inc()
            raise

    async def ask(self, call: Call) -> Any:
        """As `run`; an error reply of Redis is StoreUnavailable too."""
        try:
            return await self.run(call)
        except ResponseError as error:
            raise command_rejected(error) from None

    async def ask_together(self, calls: Sequence[Call]) -> list[Any]:
        """The reply of each call, or StoreUnavailable in its place. Those for one server are sent together.

        For some hundred calls. Never raises StoreUnavailable.
        """
        return await asyncio.shield(self._start(self._ask_together(calls)))

    async def _ask_together(self, calls: Sequence[Call]) -> list[Any]:
        replies: dict[int, Any] = {}

        async def ask_server(numbers: list[int]) -> None:
            together = [calls[number] for number in numbers]
            try:
                answers = await self._within_limits(together[0].key, lambda: self._exchange_together(together))
                replies.update(zip(numbers, answers, strict=True))
            except (StoreUnavailable, ResponseError):
                return  # each is asked for alone, and has its own error

        async def ask_alone(number: int) -> None:
            try:
                replies[number] = await self.ask(calls[number])
            except StoreUnavailable as error:
                replies[number] = error

        if calls:
            with contextlib.suppress(StoreUnavailable):  # so that a Cluster's servers are known
                await self._within_limits(calls[0].key, lambda: self._servers.pool_for(calls[0].key))
        by_server: dict[str, list[int]] = {}
        for number, call in enumerate(calls):
            by_server.setdefault(self._servers.name_for(call.key), []).append(number)
        await asyncio.gather(*(ask_server(numbers) for numbers in by_server.values()))
        alone = [number for number in range(len(calls)) if isinstance(replies.get(number, ERROR), Exception)]
        await asyncio.gather(*(ask_alone(number) for number in alone))
        return [replies[number] for number in range(len(calls))]

    async def _exchange_together(self, calls: Sequence[Call]) -> list[Any]:
        """The replies, error replies included. Raises _NotAcknowledged if a write is not acknowledged by a replica."""
        pool = await self._servers.pool_for(calls[0].key)
        acknowledgements = await self._acknowledgements(pool) if any(call.write for call in calls) else 0
        wait: list[Command] = [("WAIT", acknowledgements, self._acknowledge_ms)] if acknowledgements else []
        loaded: set[Script | None] = set()
        commands = []
        for call in calls:  # the first call of each script brings its text
            commands.append(call.command(load=call.script not in loaded))
            loaded.add(call.script)
        replies = await exchange(pool, [*commands, *wait])
        if acknowledgements and not (isinstance(replies[-1], int) and replies[-1] >= acknowledgements):
            self._replicas.pop(pool, None)
            raise _NotAcknowledged
        return replies[: len(calls)]

    async def read(self, call: Call) -> Any:
        """As `run`, for reads: the reads of one turn of the event loop are pipelined."""
        loop = asyncio.get_running_loop()
        server, waiting = self._servers.name_for(call.key), Read(call, loop.create_future())
        together = self._reads.setdefault(server, [])
        together.append(waiting)
        if len(together) == 1:
            loop.call_soon(lambda: self._start(self._read_together(self._reads.pop(server))))
        try:
            return await waiting.answer
        except StoreUnavailable:
            metrics.STORE_ERRORS.inc()
            raise

    async def scan(self, pattern: str, server: int, cursor: int) -> tuple[list[bytes], tuple[int, int] | None]:
        """Some matching names of the server of that number, and the server and cursor of the next ones, if any.

        Raises InvalidPosition if there is no such server, and StoreUnavailable.
        """
        pools = await self._within_limits("", self._servers.pools)
        if server >= len(pools):
            raise InvalidPosition
        command: Command = ("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
        (reply,) = await self._within_limits("", partial(exchange, pools[server], [command]))
        if isinstance(reply, Exception):
            raise unavailable(reply)
        following = server, int(reply[0])
        if following[1] == 0:
            following = server + 1, 0
        return list(reply[1]), following if following[0] < len(pools) else None

    async def ask_each(self, commands: Sequence[Command]) -> list[list[Any]]:
        """The replies of every server with keys; error replies are included. Raises StoreUnavailable."""

        async def ask() -> list[list[Any]]:
            pools = await self._within_limits("", self._servers.pools)
            return [await self._within_limits("", partial(exchange, pool, commands)) for pool in pools]

        return await asyncio.shield(self._start(ask()))

    async def close(self) -> None:
        """Waits for running commands, then closes the connections."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._servers.close()

    def _start(self, coroutine: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved even if the caller has gone, so that asyncio does not log it

    async def _read_together(self, reads: list[Read]) -> None:
        first = reads[0].call.key
        try:
            replies = await self._within_limits(first, lambda: self._exchange_reads(first, reads))
        except StoreUnavailable as error:
            replies = [
                StoreUnavailable(error.detail, retry_after=error.retry_after, unreachable=error.unreachable)
                for _ in reads
            ]
        except BaseException as error:  # whatever it is, each caller gets it: none waits for ever
            for read in reads:
                read.resolve(error)
            raise
        for read, reply in zip(reads, replies, strict=True):
            if isinstance(reply, (NoScriptError, AskError, *WRONG_SERVER)):
                self._start(self._read_alone(read))  # the server requires something specific to this read
            else:
                read.resolve(reply)

    async def _read_alone(self, read: Read) -> None:
        try:
            read.resolve(await self._within_limits(read.call.key, lambda: self._attempt(read.call)))
        except BaseException as error:
            read.resolve(error)
            if not isinstance(error, (StoreUnavailable, ResponseError)):
                raise

    async def _exchange_reads(self, key: str, reads: list[Read]) -> list[Any]:
        return await exchange(await self._servers.pool_for(key), [read.call.command() for read in reads])

    async def _within_limits(self, key: str, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """One operation: rejected while the circuit is open, limited in time, retried if that may help."""
        clock = asyncio.get_running_loop().time
        breaker = self._breakers[self._servers.name_for(key)]
        if not breaker.admits(clock()):
            detail = "Redis does not respond; it is tried again in a moment."
            raise StoreUnavailable(detail, retry_after=1, unreachable=breaker.unreachable)
        answered = unreachable = False
        try:
            async with asyncio.timeout(self._operation_timeout), self._slots:
                reply = await self._attempts(attempt)
            answered = True
            return reply
        except (*UNREACHABLE, *WRONG_SERVER, TimeoutError) as error:
            unreachable = not isinstance(error, LOGIN_REFUSED)
            raise unavailable(error, unreachable=unreachable) from None
        except _NotAcknowledged:
            answered = True
            raise StoreUnavailable("No replica of Redis acknowledged the write.", retry_after=1) from None
        except ResponseError:
            answered = True
            raise
        except RedisError as error:
            raise unavailable(error) from None
        finally:
            if answered:
                breaker.succeeded()
            else:
                breaker.failed(clock(), unreachable=unreachable)

    async def _attempts(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        unacknowledged = 0
        for delay in _DELAYS:
            try:
                return await attempt()
            except (*UNREACHABLE, *WRONG_SERVER) as error:
                await self._servers.recover(error)
            except _NotAcknowledged:
                # The replicas are determined again and the same write is sent once more: a replica may have gone for
                # good.
                unacknowledged += 1
                if unacknowledged > 1:
                    raise
            await asyncio.sleep(delay)
        return await attempt()

    async def _attempt(self, call: Call) -> Any:
        pool = await self._servers.pool_for(call.key)
        prelude: list[Command] = []
        load = False
        for _ in range(5):  # redirects may be chained while slots migrate
            acknowledgements = await self._acknowledgements(pool) if call.write else 0
            wait: list[Command] = [("WAIT", acknowledgements, self._acknowledge_ms)] if acknowledgements else []
            replies = await exchange(pool, [*prelude, call.command(load=load), *wait])
            reply = replies[len(prelude)]
            match reply:
                case NoScriptError():
                    load = True
                case MovedError():
                    pool, prelude = self._servers.redirected(reply, moved=True), []
                case AskError():
                    pool, prelude = self._servers.redirected(reply, moved=False), [("ASKING",)]
                case Exception():
                    raise reply
                case _:
                    if acknowledgements and not (isinstance(replies[-1], int) and replies[-1] >= acknowledgements):
                        self._replicas.pop(pool, None)
                        raise _NotAcknowledged
                    return reply
        raise ClusterDownError("redirected too often")

    async def _acknowledgements(self, pool: ConnectionPool) -> int:
        """How many replicas must acknowledge a write: one if there are any (`ROLE`)."""
        now = asyncio.get_running_loop().time()
        fresh_until, replicas = self._replicas.get(pool, (0.0, 0))
        if now >= fresh_until:
            (role,) = await exchange(pool, [("ROLE",)])
            replicas = len(role[2]) if isinstance(role, list) and role[0] == b"master" else 0
            self._replicas[pool] = (now + ROLE_KEPT, replicas)
        return min(1, replicas)
