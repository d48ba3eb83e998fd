"""A worker's side of the channel."""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from bff.server.channel import Channel
from bff.server.worker import Worker, WorkerOrder
from bff.session.session import SessionKey
from bff.telemetry.merged_metrics import snapshot
from bff.telemetry.metrics import REGISTRY
from bff.web.health import ReadinessReport
from bff.web.middleware.rate_memory import new_memory
from tests.harness.waiting import until


class Controls:
    """Records what the supervisor asked for."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def stop(self, repeated: int = 0) -> None:
        self.calls.append(("stop", repeated))

    def retire(self) -> None:
        self.calls.append("retire")

    def reload(self) -> None:
        self.calls.append("reload")

    async def report(self) -> ReadinessReport:
        return ReadinessReport(ready=False, checks={"store": False})

    async def check_ended(self, keys: Sequence[SessionKey]) -> None:
        if "defect" in keys:
            raise ZeroDivisionError
        self.calls.append(list(keys))


class Supervised:
    def __init__(self, worker: Worker, channel: Channel) -> None:
        self.worker, self.channel, self.controls = worker, channel, Controls()
        self.received: list[Any] = []
        self.receiving = asyncio.create_task(channel.receive(self.received.append))

    async def answer(self, about: str) -> Any:
        self.channel.send({"ask": 7, "about": about})
        await until(lambda: any("answer" in message for message in self.received))
        return next(message for message in self.received if "answer" in message)


@pytest.fixture
def worker() -> Iterator[tuple[Worker, socket.socket]]:
    before = signal.getsignal(signal.SIGUSR2)
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as memory, socket.create_server(("127.0.0.1", 0)) as public:
        memory.write(new_memory())
        memory.flush()
        order = WorkerOrder(3, theirs.detach(), memory.fileno(), os.dup(public.fileno()), None)
        worker = Worker(WorkerOrder.parse(order.text()))
        yield worker, ours
        for listener in worker.listeners:
            if listener is not None:
                listener.socket.close()
    signal.signal(signal.SIGUSR2, before)


@pytest.fixture
async def supervised(worker: tuple[Worker, socket.socket]) -> AsyncIterator[Supervised]:
    found = Supervised(worker[0], await Channel.open(worker[1]))
    async with found.worker.supervised(found.controls):
        yield found
    await asyncio.wait([found.receiving])
    with contextlib.suppress(Exception):
        await found.channel.close()


async def test_it_reports_that_it_serves_and_which_sessions_it_has_ended(supervised: Supervised) -> None:
    supervised.worker.started()
    supervised.worker.session_ended(SessionKey("key"))
    await until(lambda: len(supervised.received) == 2)
    assert supervised.received == [{"ready": True}, {"ended": ["key"]}]
    assert not supervised.worker.purges, "only the first one does"


async def test_it_does_what_the_supervisor_asks_for(supervised: Supervised) -> None:
    messages = ({"reload": True}, {"ended": ["a", "b"]}, {"unknown": 1}, {"retire": True}, {"stop": 0}, {"stop": 15})
    for message in messages:
        supervised.channel.send(message)
    expected = ["reload", "retire", ("stop", 0), ("stop", 15)]
    await until(lambda: len(supervised.controls.calls) == 5)
    assert [call for call in supervised.controls.calls if call != ["a", "b"]] == expected


async def test_a_message_that_fails_is_logged_and_the_next_one_is_handled(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    supervised.channel.send({"ended": ["defect"]})
    supervised.channel.send({"ended": ["a"]})
    await until(lambda: supervised.controls.calls == [["a"]])
    assert "could not be handled" in caplog.text


async def test_it_answers_whether_it_is_ready_and_alive(supervised: Supervised) -> None:
    answer = await supervised.answer("readiness")
    assert answer == {"answer": 7, "value": {"ready": False, "checks": {"store": False}}}
    supervised.received.clear()
    assert (await supervised.answer("liveness"))["value"]["live"] is True


async def test_it_sends_its_metrics_when_asked_and_at_the_end(worker: tuple[Worker, socket.socket]) -> None:
    found = Supervised(worker[0], await Channel.open(worker[1]))
    names = [family[0] for family in snapshot(REGISTRY)]
    async with found.worker.supervised(found.controls):
        assert [family[0] for family in (await found.answer("metrics"))["value"]] == names
    await found.receiving
    assert [family[0] for family in found.received[-1]["metrics"]] == names
    await found.channel.close()


async def test_it_stops_in_order_when_the_supervisor_is_gone(supervised: Supervised) -> None:
    supervised.receiving.cancel()
    await supervised.channel.close()
    await until(lambda: supervised.controls.calls == [("stop", 0)])


async def test_signals_for_the_supervisor_do_not_end_it(supervised: Supervised) -> None:
    os.kill(os.getpid(), signal.SIGUSR2)
    assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
