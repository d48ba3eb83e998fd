"""A TCP proxy that tells when certain bytes pass, and can hold them: how a test acts at one exact step of a process."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from tests.harness.waiting import loop_turns

Side = Literal["request", "answer"]


@dataclass
class _Wire:
    """When `word` passes in a request: act before it goes on, or before its answer does."""

    word: bytes
    side: Side
    act: Callable[[], Awaitable[bool]]
    skip: int


class Tripwire:
    """Between a process under test and what it talks to. Without a wire it only forwards."""

    def __init__(self, target_port: int) -> None:
        self._target, self.port = target_port, 0
        self._wires: list[_Wire] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def once(self, word: bytes, side: Side, act: Callable[[], Awaitable[bool]], *, skip: int = 0) -> None:
        """At the next request that contains `word` (after `skip` of them): `act()`, then forward if it says True."""
        self._wires.append(_Wire(word, side, act, skip))

    def clear(self) -> None:
        self._wires.clear()

    def redirect(self, target_port: int) -> None:
        """From now on another server answers here; whatever was connected is cut off."""
        self._target = target_port
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await loop_turns(20)  # a connection that was accepted this very moment begins, and can be ended with the others
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        tripped: list[_Wire] = []
        answers = asyncio.create_task(self._answers(up_reader, writer, tripped))
        try:
            while request := await reader.read(1 << 20):
                wire = self._match(request)
                if wire is not None and wire.side == "request" and not await wire.act():
                    return
                if wire is not None and wire.side == "answer":
                    tripped.append(wire)
                up_writer.write(request)
                await up_writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
            for side in (writer, up_writer):
                side.transport.abort()
                with contextlib.suppress(OSError, asyncio.CancelledError):
                    await side.wait_closed()

    def _match(self, request: bytes) -> _Wire | None:
        for wire in self._wires:
            if wire.word in request:
                if wire.skip:
                    wire.skip -= 1
                    return None
                self._wires.remove(wire)
                return wire
        return None

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tripped: list[_Wire]) -> None:
        try:
            while answer := await reader.read(1 << 20):
                if tripped and not await tripped.pop().act():
                    break
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
