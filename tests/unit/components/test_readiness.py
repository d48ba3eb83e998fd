from types import SimpleNamespace
from typing import Any

import pytest

from bff.components.readiness import Readiness
from bff.errors import ProviderUnavailable, StoreUnavailable


def answering(result: object = None, error: Exception | None = None) -> Any:
    async def answer() -> object:
        if error is not None:
            raise error
        return result

    return answer


def readiness(*, stopping: bool = False, store: Any = None, provider: Any = None, in_sync: Any = None) -> Readiness:
    parts: Any = SimpleNamespace(
        stores=SimpleNamespace(
            sessions=SimpleNamespace(ping=store or answering()),
            key_ring_sync=in_sync and SimpleNamespace(in_sync=in_sync),
        ),
        providers=SimpleNamespace(main=SimpleNamespace(metadata=provider or answering())),
        telemetry=SimpleNamespace(bind=lambda: None),
    )
    return Readiness(lambda: stopping, parts.stores, parts.providers, parts.telemetry)


@pytest.mark.parametrize(
    ("parts", "failed"),
    [
        ({}, set()),
        ({"stopping": True}, {"serving"}),
        ({"store": answering(error=StoreUnavailable())}, {"store"}),
        ({"provider": answering(error=ProviderUnavailable())}, {"provider"}),
        ({"in_sync": answering(result=True)}, set()),
        ({"in_sync": answering(result=False)}, {"key_ring_in_sync"}),
        ({"in_sync": answering(error=StoreUnavailable())}, {"store"}),
    ],
)
async def test_each_check_fails_alone(parts: dict[str, Any], failed: set[str]) -> None:
    checks = await readiness(**parts).checks()
    assert {name for name, passes in checks.items() if not passes} == failed
    assert {"serving", "store", "provider"} <= checks.keys()
