"""What holds for every test: short cuts past searches that find nothing, and no stop-watch for generated examples."""

import gc
import sys
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from bff.telemetry import audit, tracing

pytest_plugins = ("tests.catalogue",)

# httpcore looks for it at every request, on every path, and it is not installed: a fifth of the time of a journey.
sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]
# The command line of httpx, which it imports where click is there: with rich and pygments a third of its import.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

# By itself Hypothesis fails a test for an example that took 0.2 seconds: on a busy machine every one may. The examples
# that guard a merge are the same at every run; `make proof` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("new", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collected tests stay until the end: no garbage collection looks through them, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _no_request_of_another_test() -> Iterator[None]:
    """A test that calls what belongs to a request, outside of one, leaves its trace to all tests after it otherwise."""
    variables = (tracing._CURRENT, tracing._TRACER, tracing._SERVER, audit._CLIENT, audit._SUBJECT_FORMAT)
    before = [(variable, variable.get()) for variable in variables]
    yield
    for variable, value in before:
        variable.set(value)  # type: ignore[arg-type]
