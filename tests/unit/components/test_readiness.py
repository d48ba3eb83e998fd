import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bff.components.readiness import Readiness
from bff.components.timeouts import ReadinessTimeouts
from bff.errors import ProviderUnavailable, StoreUnavailable
from bff.telemetry.metrics import REGISTRY
from tests.harness.waiting import until

PATIENT = ReadinessTimeouts(check=60.0, interval=0.0)
HASTY = ReadinessTimeouts(check=0.001, interval=0.0)


def answering(result: object = None, error: Exception | None = None) -> Any:
    async def answer() -> object:
        if error is not None:
            raise error
        return result

    return answer


async def hanging() -> None:
    await asyncio.Event().wait()


class Parts:
    """What a process depends on; everything passes until a test changes it."""

    def __init__(self, *, stopping: bool = False, requires: tuple[str, ...] = (), in_sync: Any = None) -> None:
        self.store = SimpleNamespace(now=answering(0.0), ping=answering())
        self.provider = SimpleNamespace(metadata=answering())
        self._stopping, self._requires, self._in_sync = stopping, requires, in_sync
        self.granted: bool | None = None

    def readiness(self, timeouts: ReadinessTimeouts = PATIENT) -> Readiness:
        runtime: Any = SimpleNamespace(
            telemetry=SimpleNamespace(bind=lambda: None),
            settings=SimpleNamespace(server=SimpleNamespace(ready_requires=self._requires)),
        )
        sync = self._in_sync and SimpleNamespace(in_sync=self._in_sync)
        stores: Any = SimpleNamespace(sessions=self.store, key_ring_sync=sync)
        providers: Any = SimpleNamespace(main=self.provider, offline_access=SimpleNamespace(granted=self.granted))
        return Readiness(runtime, stores, providers, lambda: self._stopping, timeouts)


def failed(checks: Any) -> set[str]:
    return {name for name, passes in checks.items() if not passes}


@pytest.mark.parametrize(
    ("parts", "failing"),
    [
        (Parts(), set()),
        (Parts(stopping=True), {"serving"}),
        (Parts(in_sync=answering(result=True)), set()),
        (Parts(in_sync=answering(result=False)), {"key_ring_in_sync"}),
        (Parts(in_sync=answering(error=StoreUnavailable())), {"store"}),
    ],
)
async def test_each_check_fails_alone(parts: Parts, failing: set[str]) -> None:
    report = await parts.readiness().report()
    assert failed(report.checks) == failing
    assert {"serving", "store", "provider"} <= report.checks.keys()
    assert report.ready == ("serving" not in failing)


@pytest.mark.parametrize("granted", [None, True, False])
async def test_missing_refresh_tokens_are_shown_and_decide_nothing(granted: bool | None) -> None:
    parts = Parts()
    parts.granted = granted
    report = await parts.readiness().report()
    assert (report.ready, report.checks.get("refresh_tokens")) == (True, granted)


@pytest.mark.parametrize("requires", [(), ("store",), ("provider",), ("store", "provider")])
@pytest.mark.parametrize("away", ["store", "provider"])
async def test_a_dependency_decides_only_where_the_operator_requires_it(requires: tuple[str, ...], away: str) -> None:
    parts = Parts(requires=requires)
    readiness = parts.readiness()
    assert (await readiness.report()).ready
    parts.store.ping = parts.store.now = answering(error=StoreUnavailable() if away == "store" else None)
    parts.provider.metadata = answering(error=ProviderUnavailable() if away == "provider" else None)
    report = await readiness.report()
    assert failed(report.checks) == {away}
    assert report.ready == (away not in requires)


async def test_a_dependency_that_hangs_fails_alone() -> None:
    parts = Parts()
    readiness = parts.readiness(HASTY)
    parts.store.ping = hanging
    await until(lambda: readiness_reached(readiness))
    report = await readiness.report()
    assert (report.ready, report.checks["store"]) == (True, False)


async def readiness_reached(readiness: Readiness) -> bool:
    return (await readiness.report()).checks["store_reached"]


async def test_a_process_that_never_reached_its_store_is_not_ready() -> None:
    parts = Parts()
    parts.store.now = parts.store.ping = answering(error=StoreUnavailable())
    readiness = parts.readiness()
    report = await readiness.report()
    assert (report.ready, failed(report.checks)) == (False, {"store_reached", "store"})
    parts.store.now = answering(0.0)  # full: it responds, and takes no write
    report = await readiness.report()
    assert (report.ready, failed(report.checks)) == (True, {"store"})


async def test_the_metric_of_the_store_needs_no_probe() -> None:
    parts = Parts()
    readiness = parts.readiness()
    watching = asyncio.create_task(readiness.watch())
    try:
        for error, shown in ((None, 1.0), (StoreUnavailable(), 0.0), (None, 1.0)):
            parts.store.ping = answering(error=error)
            await until(lambda shown=shown: REGISTRY.get_sample_value("bff_store_available") == shown)
        assert (await readiness.report()).checks["store_reached"]
    finally:
        watching.cancel()
