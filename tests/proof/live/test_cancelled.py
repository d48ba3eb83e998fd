"""Every await of a refresh cancelled in turn, as a shutdown would: no token is lost, no lease sticks."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import pytest

from bff.flows.background import BackgroundTasks
from demo.simulator.grants import RotationPolicy
from tests.harness.world import small_world


class CancelledAt(Coroutine[Any, Any, None]):
    """Runs a coroutine until its `step`-th suspension, and raises CancelledError there."""

    def __init__(self, work: Coroutine[Any, Any, None], step: int, done: Callable[[], None]) -> None:
        self._work, self._step, self._done, self._seen = work, step, done, 0

    def send(self, value: Any) -> Any:
        self._seen += 1
        if self._seen == self._step + 1:
            self._done()
            return self._work.throw(asyncio.CancelledError())
        return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise NotImplementedError


@pytest.mark.case("RF-042")
async def test_a_refresh_cancelled_at_any_await_leaves_a_session_that_can_be_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = RotationPolicy(access_token_lifetime=300)
    # Two seconds from a reservation to its request, whatever the disk does; the clock is moved past the lease below.
    timings = {"refresh_timeout": "1", "refresh_lease": "3"}
    async with small_world(tmp_path, rotation=policy, **timings) as world:
        browser = world.browser()
        await browser.sign_in()
        start = BackgroundTasks.start
        step, completed = 1, False
        for _ in range(100):
            reached = False

            def note() -> None:
                nonlocal reached
                reached = True

            def cut(self: BackgroundTasks, work: Any, name: str, step: int = step) -> Any:
                return start(self, CancelledAt(work, step, note) if name == "refresh" else work, name)

            world.advance(296)  # due, and past usable: the caller has to wait for the refresh
            await world.okta.control.down(how="refuse")  # so that the refresh has to open a connection
            await world.okta.control.up()
            with monkeypatch.context() as patched:
                patched.setattr(BackgroundTasks, "start", cut)
                first = await browser.fetch("/api/x")
            assert first.status_code in (200, 503)
            # The lease of the cancelled refresh runs out; then another may begin, inside the grace period.
            world.advance(4)
            for _ in range(5):
                answer = await browser.fetch("/api/x")
                if answer.status_code == 200:
                    break
                # A renewal ahead of time may have been cancelled as well: a request that joined it gets 503.
                assert answer.status_code == 503, (step, answer.text)
                world.advance(4)
            assert answer.status_code == 200, (step, answer.text)
            assert world.okta.control.reuse_alarms == 0, step
            # On a machine that takes a second for it, a refresh fails without being cancelled: the same step again.
            completed = not reached and first.status_code == 200
            if completed:
                break
            step += reached
        print(f"suspensions cancelled: {step - 1}")
        assert completed
        assert step > 5
