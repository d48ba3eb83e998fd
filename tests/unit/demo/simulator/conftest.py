import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from demo.simulator.server import SimulatorConfig, running_simulator
from tests.harness.plain_http import plain_http
from tests.unit.demo.simulator.application import Application

Begin = Callable[[SimulatorConfig], AbstractAsyncContextManager[Application]]


@contextlib.asynccontextmanager
async def application(config: SimulatorConfig) -> AsyncIterator[Application]:
    async with (
        running_simulator(config) as okta,
        plain_http() as browser,
        plain_http() as backend,
    ):
        yield Application(okta, browser, backend)


@pytest.fixture
def begin() -> Begin:
    """For tests that configure the provider themselves."""
    return application


@pytest.fixture
async def app() -> AsyncIterator[Application]:
    async with application(SimulatorConfig(control_port=0)) as running:
        yield running
