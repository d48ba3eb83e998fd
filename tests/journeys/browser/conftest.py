"""One demo and one Chromium for all tests of this folder; a context with a cookie jar of its own for each."""

import signal
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.harness.chromium import chromium
from tests.harness.person import Person
from tests.harness.running_demo import DemoProcess, RunningDemo, children_of, is_running


@pytest.fixture(scope="session")
def one_demo() -> Iterator[RunningDemo]:
    demo = DemoProcess()
    running = demo.wait_until_ready()
    children = children_of(demo.process.pid)
    yield running
    assert demo.stop(signal.SIGINT) == 0, "Ctrl-C stops it"
    assert not any(is_running(child) for child in children), "and all its processes"


@pytest.fixture
def demo(one_demo: RunningDemo) -> Iterator[RunningDemo]:
    """The demo with its Okta in order, before and after."""
    one_demo.okta("/up", {})
    yield one_demo
    one_demo.okta("/up", {})
    state = one_demo.okta("/state")
    # What no correct client does (a secret in a URL, a missing verifier, ...), and what would have cost the session.
    assert state["violations"] == []
    assert state["reuse_alarms"] == 0


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def person(demo: RunningDemo, browser: Browser) -> AsyncIterator[Person]:
    """At the end of every test: whatever happened in it, no token came into the browser."""
    context = await browser.new_context()
    person = await Person.at(demo, context)
    yield person
    await person.holds_no_token()
    # A session that goes on being renewed would meet the faults of the next test.
    await person.call("/auth/logout", method="POST")
    await context.close()
