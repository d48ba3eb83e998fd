"""Timeouts for tests of what a component does and not of how soon: a busy machine may stand still for seconds."""

from typing import Final

from bff.components.timeouts import Timeouts
from bff.flows.refresh.timing import RefreshTimeouts
from bff.storage.timeouts import RedisTimeouts, SqliteTimeouts, StoreTimeouts
from tests.harness.waiting import PATIENCE

PATIENT_REDIS: Final = RedisTimeouts(connect=PATIENCE, reply=PATIENCE, operation=PATIENCE, acknowledge=PATIENCE / 2)
PATIENT_SQLITE: Final = SqliteTimeouts(busy=PATIENCE, answer=1.5 * PATIENCE)
PATIENT_STORES: Final = StoreTimeouts(PATIENT_SQLITE, PATIENT_REDIS)
PATIENT: Final = Timeouts(PATIENT_STORES, RefreshTimeouts(caller=PATIENCE), last_spans=PATIENCE)
