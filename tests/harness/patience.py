"""Timeouts for tests of what a component does and not of how soon: a busy machine may stand still for seconds."""

from typing import Final

from bff.components.timeouts import ReadinessTimeouts, Timeouts
from bff.flows.refresh.timing import RefreshTimeouts
from bff.storage.timeouts import RedisTimeouts, SqliteTimeouts, StoreTimeouts
from tests.harness.waiting import PATIENCE

PATIENT_REDIS: Final = RedisTimeouts(connect=PATIENCE, reply=PATIENCE, operation=PATIENCE, acknowledge=PATIENCE / 2)
PATIENT_SQLITE: Final = SqliteTimeouts(busy=PATIENCE, answer=1.5 * PATIENCE)
PATIENT_STORES: Final = StoreTimeouts(PATIENT_SQLITE, PATIENT_REDIS)
READINESS: Final = ReadinessTimeouts(check=1.0, interval=0.2)  # a probe waits for two seconds in all
PATIENT: Final = Timeouts(PATIENT_STORES, RefreshTimeouts(caller=PATIENCE), READINESS, last_spans=PATIENCE)
