"""The stores' own deadlines out of the way, where a test is of what a store does and not of how soon.

A store gives up after a second or two, as a caller of it needs; a busy machine may stand still for longer than that.
"""

from typing import Final

import pytest

from bff.storage.redis import client as redis_client
from bff.storage.redis import topology as redis_topology
from bff.storage.sqlite import group_commit

AT_MOST: Final = 60.0  # seconds


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the stores that are opened from now on in this process."""
    monkeypatch.setattr(group_commit, "ANSWER_TIMEOUT", AT_MOST)
    monkeypatch.setattr(redis_client, "OPERATION_TIMEOUT", AT_MOST)
    monkeypatch.setattr(redis_client, "ACKNOWLEDGE_TIMEOUT_MS", int(AT_MOST * 1000 / 2))
    monkeypatch.setattr(redis_topology, "ANSWER_TIMEOUT", AT_MOST)
    monkeypatch.setattr(redis_topology, "CONNECT_TIMEOUT", AT_MOST)
