import time
from pathlib import Path

import pytest

from bff.components.runtime import Runtime
from bff.components.stores import build_stores
from bff.config.session_policy import SessionPolicy
from bff.config.settings import load_settings
from bff.flows.background import BackgroundTasks
from bff.storage.timeouts import StoreTimeouts
from bff.telemetry.application import ApplicationTelemetry
from bff.telemetry.metrics import REGISTRY
from tests.harness.example_session import a_session
from tests.harness.settings import with_changes


def misses() -> float:
    return REGISTRY.get_sample_value("bff_session_cache_misses_total") or 0.0


@pytest.mark.parametrize(("size", "decrypted"), [("0", 3), ("1", 1)])
async def test_the_cache_of_decrypted_records_has_the_configured_size(
    tmp_path: Path, size: str, decrypted: int
) -> None:
    settings = load_settings(with_changes(store=f"sqlite:///{tmp_path}/bff.db", session_cache=size))
    policy, telemetry = SessionPolicy(settings.refresh, settings.session), ApplicationTelemetry()
    stores = build_stores(Runtime(settings, time.time, policy, telemetry, BackgroundTasks()), StoreTimeouts())
    try:
        session = a_session(time.time())
        await stores.sessions.create(session)
        before = misses()
        for _ in range(3):
            await stores.sessions.get(session.key)
        assert misses() - before == decrypted
    finally:
        await stores.sessions.close()
