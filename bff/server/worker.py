"""One of several workers that a supervisor (`bff.server.supervisor`) has started: its side of the channel."""

import asyncio
import contextlib
import json
import logging
import mmap
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final, Protocol

from bff.server.channel import Channel, Message
from bff.server.listeners import Bound
from bff.session.session import SessionKey
from bff.telemetry import metrics
from bff.telemetry.merged_metrics import snapshot
from bff.web.health import ReadinessReport, own_liveness
from bff.web.middleware.rate_memory import SIZE

logger = logging.getLogger(__name__)

METRICS_INTERVAL: Final = 5.0  # seconds; what a worker counted since then is lost if it is killed


@dataclass(frozen=True, slots=True)
class WorkerOrder:
    """What a worker is started with: its number from 0, and descriptors that it inherits. Without a forward-auth
    listener its descriptor is None.
    """

    number: int
    channel: int
    rate_memory: int
    public: int
    forward_auth: int | None

    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parse(cls, text: str) -> "WorkerOrder":
        """Raises ValueError or TypeError for anything but the result of `text`."""
        return cls(**json.loads(text))


class Controls(Protocol):
    """What the supervisor asks of the process of a worker."""

    def stop(self, repeated: int = 0) -> None:
        """`repeated` is the number of a second signal."""
        ...

    def retire(self) -> None: ...

    def reload(self) -> None: ...

    async def report(self) -> ReadinessReport: ...

    async def check_ended(self, keys: Sequence[SessionKey]) -> None: ...


class Worker:
    """The other workers as the application sees them, and the channel to the supervisor."""

    def __init__(self, order: WorkerOrder) -> None:
        """Takes the descriptors of `order`, which no child process inherits."""
        self.number = order.number
        self.listeners: list[Bound | None] = [
            None if descriptor is None else Bound(socket.socket(fileno=descriptor))
            for descriptor in (order.public, None, order.forward_auth)
        ]
        if os.fstat(order.rate_memory).st_size < SIZE:
            os.ftruncate(order.rate_memory, SIZE)  # the supervisor is of an older version, which needed less
        self.rate_memory = memoryview(mmap.mmap(order.rate_memory, SIZE))
        self._end = socket.socket(fileno=order.channel)
        self._channel: Channel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # `systemctl kill` sends a signal to all processes of a unit; this one is for the supervisor.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    @property
    def purges(self) -> bool:
        return self.number == 0

    def session_ended(self, key: SessionKey) -> None:
        self._send({"ended": [key]})

    def started(self) -> None:
        """Reports that requests are served."""
        metrics.WORKERS.set(1)
        self._send({"ready": True})

    @contextlib.asynccontextmanager
    async def supervised(self, controls: Controls) -> AsyncIterator[None]:
        """Follows the supervisor until the block ends. If the supervisor ends, this process stops in order."""
        self._channel = await Channel.open(self._end)
        tasks = asyncio.create_task(self._receive(self._channel, controls)), asyncio.create_task(self._report_metrics())
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            metrics.WORKERS.set(0)
            self._send({"metrics": snapshot(metrics.REGISTRY)})
            await self._channel.close()

    async def _receive(self, channel: Channel, controls: Controls) -> None:
        try:
            await channel.receive(lambda message: self._follow(message, controls))
            logger.warning("the supervisor has ended, and this worker stops")
        except Exception:
            logger.exception("a message of the supervisor could not be read, and this worker stops")
        controls.stop()

    def _follow(self, message: Message, controls: Controls) -> None:
        match message:
            case {"stop": repeated}:
                controls.stop(repeated)
            case {"retire": _}:
                metrics.WORKERS.set(0)
                controls.retire()
            case {"reload": _}:
                controls.reload()
            case {"ended": keys}:
                self._start(controls.check_ended([SessionKey(key) for key in keys]))
            case {"ask": number, "about": "readiness"}:
                self._start(self._answer(number, controls.report))
            case {"ask": number, "about": "liveness"}:
                self._start(self._answer(number, own_liveness))
            case {"ask": number, "about": "metrics"}:
                self._send({"answer": number, "value": snapshot(metrics.REGISTRY)})
            case _:
                pass

    async def _answer(self, number: int, question: Callable[[], Awaitable[object]]) -> None:
        report = await question()
        self._send({"answer": number, "value": asdict(report)})  # type: ignore[call-overload]

    async def _report_metrics(self) -> None:
        while True:
            await asyncio.sleep(METRICS_INTERVAL)
            self._send({"metrics": snapshot(metrics.REGISTRY)})

    def _start(self, work: Awaitable[None]) -> None:
        async def carried_out() -> None:
            try:
                await work
            except Exception:
                logger.exception("a message of the supervisor could not be handled")

        task = asyncio.create_task(carried_out())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)
