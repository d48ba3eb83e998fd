"""Tasks of the application: drained at shutdown with those they start, and cancelled after a while."""

import logging

import pytest

from bff.errors import StoreUnavailable
from bff.flows.background import BackgroundTasks
from tests.harness.virtual_time import time_passes


async def test_a_drain_waits_for_tasks_and_for_those_they_start() -> None:
    tasks, done = BackgroundTasks(), list[str]()

    async def first() -> None:
        await time_passes(1)
        tasks.start(second(), "second")
        done.append("first")

    async def second() -> None:
        await time_passes(1)
        done.append("second")

    tasks.start(first(), "first")
    assert await tasks.drain(5) == 0
    assert done == ["first", "second"]


async def test_what_takes_too_long_is_cancelled_and_counted() -> None:
    tasks = BackgroundTasks()
    late = [tasks.start(time_passes(60), "late") for _ in range(3)]
    assert await tasks.drain(5) == 3
    assert all(task.cancelled() for task in late)


@pytest.mark.parametrize(("error", "level"), [(RuntimeError(), logging.ERROR), (StoreUnavailable(), logging.INFO)])
async def test_a_failed_task_is_logged(error: Exception, level: int, caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise error

    tasks = BackgroundTasks()
    with caplog.at_level(logging.INFO):
        tasks.start(fail(), "fail")
        await tasks.drain(1)
    assert [(record.levelno, record.message) for record in caplog.records] == [(level, "background task failed")]
