import asyncio
from typing import Any

import pytest

from bff.components.lifespan import Lifespan, Step
from bff.errors import StoreUnavailable
from tests.harness.waiting import loop_turns


class Steps:
    """Steps that record their names in order."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def step(self, name: str, error: Exception | None = None) -> Step:
        async def take() -> None:
            self.taken.append(name)
            if error is not None:
                raise error

        return take

    async def forever(self) -> None:
        self.taken.append("background")
        try:
            await asyncio.Event().wait()
        finally:
            self.taken.append("background ended")


async def run(lifespan: Lifespan, stop: asyncio.Event) -> list[str]:
    """The types of the messages that it sends to the server, which says when to start and, with `stop`, to end."""
    sent: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> Any:
        message = next(messages)
        if message == "lifespan.shutdown":
            await stop.wait()
        return {"type": message}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await lifespan({"type": "lifespan"}, receive, send)
    return sent


async def test_checks_run_before_background_tasks_and_closing_steps_last_to_first() -> None:
    steps, stop = Steps(), asyncio.Event()
    lifespan = Lifespan(
        checks=(steps.step("check"),),
        background={"forever": steps.forever},
        closing=(steps.step("close first opened"), steps.step("close last opened")),
    )
    running = asyncio.create_task(run(lifespan, stop))
    await loop_turns(5)
    assert steps.taken == ["check", "background"]
    stop.set()
    assert await running == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert steps.taken[2:] == ["background ended", "close last opened", "close first opened"]


async def test_a_failed_check_stops_the_start_and_closes_what_is_open() -> None:
    steps = Steps()
    lifespan = Lifespan(
        checks=(steps.step("check", StoreUnavailable()), steps.step("never")),
        background={"forever": steps.forever},
        closing=(steps.step("close"),),
    )
    assert await run(lifespan, asyncio.Event()) == ["lifespan.startup.failed"]
    assert steps.taken == ["check", "close"]


async def test_a_background_task_that_fails_is_logged_and_ends_no_other(caplog: pytest.LogCaptureFixture) -> None:
    steps, stop = Steps(), asyncio.Event()
    background = {"fails": steps.step("fails", RuntimeError("a defect")), "forever": steps.forever}
    running = asyncio.create_task(run(Lifespan(checks=(), background=background, closing=()), stop))
    await loop_turns(5)
    assert steps.taken == ["fails", "background"]
    assert "background task failed" in caplog.text
    stop.set()
    assert await running == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
