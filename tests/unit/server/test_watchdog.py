"""The watchdog: what counts as a stuck loop, and how the process ends."""

import asyncio
import threading

import pytest

from bff.server.watchdog import STALLED, Stall, Watchdog
from bff.telemetry.metrics import REGISTRY
from tests.harness.waiting import PATIENCE, until


@pytest.mark.parametrize(
    ("beats", "stuck"),
    [
        ([1, 2, 3, 4, 5, 6], []),
        ([1, 1, 1, 2, 2, 2, 3], []),  # slow
        ([1, 1, 1, 1, 1], [3, 4]),
        ([0, 0, 0, 0, 1], [2, 3]),  # it never ran
        ([5, 5, 5, 6, 6, 6, 6], [6]),
    ],
)
def test_a_loop_is_stuck_after_three_checks_without_a_beat(beats: list[int], stuck: list[int]) -> None:
    stall = Stall(limit=3)
    assert [index for index, count in enumerate(beats) if stall.check(count)] == stuck


async def test_a_blocked_loop_ends_the_process_and_logs_the_place(caplog: pytest.LogCaptureFixture) -> None:
    ended, codes = threading.Event(), list[int]()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    def block_the_loop() -> None:
        assert ended.wait(PATIENCE)

    async with Watchdog(0.05, interval=0.01, end=end).running():
        block_the_loop()
    assert codes == [STALLED]
    (record,) = [record for record in caplog.records if record.name == "bff.server.watchdog"]
    assert "block_the_loop" in vars(record)["place"]


async def test_a_loop_that_runs_is_left_alone_and_measured() -> None:
    codes: list[int] = []
    async with Watchdog(3600, interval=0.001, end=codes.append).running():
        asyncio.get_running_loop().call_soon(threading.Event().wait, 0.02)
        await until(lambda: (REGISTRY.get_sample_value("bff_event_loop_lag_seconds") or 0) > 0.01)
    assert codes == []


async def test_without_a_timeout_there_is_no_thread() -> None:
    before = threading.active_count()
    async with Watchdog(0).running():
        assert threading.active_count() == before
