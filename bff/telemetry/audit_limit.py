"""Limits an audit event that a client can cause at will to one line a minute for each name."""

from collections.abc import Hashable
from math import inf
from typing import Final

RECORDED_EVERY: Final = 60.0  # seconds
_REMEMBERED: Final = 4096  # names


class AuditLimit:
    """Bounded in memory: with too many names, all may be recorded once more."""

    def __init__(self) -> None:
        self._recorded: dict[Hashable, float] = {}

    def allows(self, name: Hashable, now: float) -> bool:
        """Whether the event of that name is to be recorded at `now`, in seconds of any clock."""
        if now < self._recorded.get(name, -inf) + RECORDED_EVERY:
            return False
        if len(self._recorded) >= _REMEMBERED:
            self._recorded.clear()
        self._recorded[name] = now
        return True
