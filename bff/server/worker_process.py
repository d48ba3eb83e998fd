"""One worker as the supervisor sees it: the process, its end of the channel, and what is known about it."""

import asyncio
import contextlib
import itertools
import logging
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bff.server.channel import Channel, Message
from bff.server.worker import WorkerOrder
from bff.telemetry.merged_metrics import Snapshot

logger = logging.getLogger(__name__)

ANSWER_TIMEOUT: Final = 1.0  # seconds; less than a probe waits


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What every worker inherits."""

    public: int
    forward_auth: int | None
    rate_memory: int

    def all(self) -> tuple[int, ...]:
        return tuple(number for number in (self.public, self.forward_auth, self.rate_memory) if number is not None)


class Observer(Protocol):
    def sessions_ended(self, source: "WorkerProcess", keys: Sequence[str]) -> None:
        """`source` has ended the sessions of these keys."""
        ...

    def worker_ready(self) -> None:
        """One more worker serves."""
        ...

    def worker_ended(self, worker: "WorkerProcess") -> None:
        """The process is gone."""
        ...


class WorkerProcess:
    """`ready` is set once it serves, `ended` when the process is gone; `settled` is either of them."""

    def __init__(
        self,
        number: int,
        process: asyncio.subprocess.Process,
        channel: Channel,
        observer: Observer,
    ) -> None:
        self.number, self.pid = number, process.pid
        self.ready, self.settled, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.retiring = False
        self.metrics: Snapshot = []
        self.code: int | None = None  # of its exit; negative for a signal
        self.lifetime = 0.0  # seconds, once it has ended
        self._began = time.monotonic()
        self._process, self._channel, self._observer = process, channel, observer
        self._questions = itertools.count()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._following = asyncio.create_task(self._follow())

    @classmethod
    async def start(
        cls,
        number: int,
        command: Sequence[str],
        inherited: Descriptors,
        observer: Observer,
    ) -> "WorkerProcess":
        """`command` gets the worker's order as its last argument. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            order = WorkerOrder(
                number, theirs.fileno(), inherited.rate_memory, inherited.public, inherited.forward_auth
            )
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    order.text(),
                    pass_fds=(theirs.fileno(), *inherited.all()),
                    process_group=0,  # Ctrl-C in a terminal is for the supervisor, which stops the workers in order
                )
            except BaseException:
                ours.close()
                raise
        try:
            channel = await Channel.open(ours)
        except BaseException:  # cancelled by a stop, and the supervisor does not know the process yet
            ours.close()
            process.kill()
            await process.wait()
            raise
        return cls(number, process, channel, observer)

    @property
    def serves(self) -> bool:
        return self.ready.is_set() and not self.ended.is_set() and not self.retiring

    def stop(self, repeated: int = 0) -> None:
        """As SIGTERM; `repeated` is the number of a second signal."""
        self._channel.send({"stop": repeated})
        if not self.ready.is_set():  # it reads no messages yet
            self.kill(signal.SIGTERM)

    def retire(self) -> None:
        """Has it end once its last connection is closed; another worker accepts the next ones."""
        self.retiring = True
        self._channel.send({"retire": True})

    def reload(self) -> None:
        self._channel.send({"reload": True})

    def check_ended(self, keys: Sequence[str]) -> None:
        self._channel.send({"ended": list(keys)})

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def ask(self, about: str, within: float = ANSWER_TIMEOUT) -> Any:
        """None without an answer `within` so many seconds."""
        number = next(self._questions)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            if not self._channel.send({"ask": number, "about": about}):
                return None
            async with asyncio.timeout(within):
                return await answer
        except TimeoutError:
            return None
        finally:
            del self._answers[number]

    async def _follow(self) -> None:
        try:
            await self._channel.receive(self._handle)
        except Exception:
            logger.exception("a message of a worker could not be read")
            self.kill()
        self.code = await self._process.wait()
        self.lifetime = time.monotonic() - self._began
        await self._channel.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(None)
        self._observer.worker_ended(self)
        self.ended.set()
        self.settled.set()

    def _handle(self, message: Message) -> None:
        match message:
            case {"ready": _}:
                self.ready.set()
                self.settled.set()
                self._observer.worker_ready()
            case {"metrics": metrics}:
                self.metrics = metrics
            case {"ended": keys}:
                self._observer.sessions_ended(self, keys)
            case {"answer": number, "value": value}:
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(value)
            case _:
                pass
