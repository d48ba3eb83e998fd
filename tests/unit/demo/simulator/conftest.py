from collections.abc import AsyncIterator

import pytest

from demo.simulator.config import SimulatorConfig
from tests.unit.demo.simulator.application import Application, application


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with application(SimulatorConfig(control_port=0)) as running:
        yield running
