from collections.abc import Callable

import pytest

from tests.harness.loop_clock import advance_loop_clock


@pytest.fixture
async def advance_clock() -> Callable[[float], None]:
    return advance_loop_clock()


@pytest.fixture
async def frozen_clock() -> Callable[[float], None]:
    return advance_loop_clock(frozen=True)
