"""A clock for deadlines: the loop's own, which a test moves on."""

import asyncio
from collections.abc import Callable

import pytest


@pytest.fixture
async def time_passes(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the loop's clock on by so many seconds, in the very moment that a test is about: no stall comes before."""
    loop, ahead = asyncio.get_running_loop(), 0.0
    clock = loop.time

    def jump(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    return jump
