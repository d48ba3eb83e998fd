"""`docker compose --profile demo up` on a real engine, with a real browser, while things are killed in it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error

from demo.simulator.people import PASSWORD
from deploy.make_secrets import READERS
from tests.harness.canaries import Canaries
from tests.harness.chromium import chromium
from tests.harness.person import Person
from tests.harness.running_demo import RunningDemo
from tests.proof.containers.compose import Compose, need_engine

pytestmark = [
    pytest.mark.containers,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("containers"),
]

DEMO = RunningDemo("http://localhost:8080", "alice@example.com", PASSWORD)
REPLICAS = ("bff-1", "bff-2")
SECRETS = READERS["bff"][1]
CALLS = """async () => {
  window.calls = [];
  while (!window.over) {
    try { window.calls.push((await fetch("/api/orders", { headers: { "X-CSRF": "1" } })).status); }
    catch { window.calls.push(0); }
    await new Promise((next) => setTimeout(next, 20));
  }
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def compose(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Compose]:
    need_engine()
    compose = Compose.laid_out(tmp_path_factory.mktemp("demo"), "bff-test-demo", "demo")
    try:
        await asyncio.to_thread(compose.up)
        yield compose
    finally:
        await asyncio.to_thread(compose.down)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def person(compose: Compose, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Person]:
    context = await browser.new_context()
    person = await Person.at(DEMO, context)
    await person.sign_in()
    await person.page.screenshot(path=tmp_path_factory.getbasetemp() / "signed-in.png", full_page=True)
    yield person
    await context.close()


async def api_status(person: Person) -> int:
    try:
        return int((await person.call("/api/orders", headers={"X-CSRF": "1"}))["status"])
    except Error as error:
        if "Failed to fetch" not in str(error):
            raise
        return 502  # nginx itself is being started again


async def served_again(person: Person) -> None:
    """Answered in the end, and never told to sign in."""
    async with asyncio.timeout(60):
        while (status := await api_status(person)) != 200:
            assert status in (502, 503, 504), status
            await asyncio.sleep(0.2)


async def running_anew(compose: Compose, service: str, before: int) -> None:
    async with asyncio.timeout(60):
        while await asyncio.to_thread(compose.process, service) in (0, before):
            await asyncio.sleep(0.2)


async def test_somebody_signs_in_and_calls_the_api(person: Person) -> None:
    await served_again(person)


@pytest.mark.parametrize("service", [*REPLICAS, "redis", "proxy"])
async def test_a_process_that_dies_is_started_again_and_signs_nobody_out(
    compose: Compose, person: Person, service: str
) -> None:
    await asyncio.sleep(1.1)  # Redis writes to its disk once a second, as docker-compose.yml has it
    before = await asyncio.to_thread(compose.process, service)
    await asyncio.to_thread(compose.kill_process, service)
    await running_anew(compose, service, before)
    await served_again(person)
    await person.page.reload()
    await person.sees_that_they_are_signed_in()


async def test_replicas_are_replaced_one_by_one_and_no_call_fails(compose: Compose, person: Person) -> None:
    """The upgrade of docs/containers.md: each container is made anew, and nginx finds it."""
    for service in REPLICAS:  # whoever was killed above is healthy again
        await asyncio.to_thread(compose, "up", "--detach", "--no-deps", "--wait", service)
    await served_again(person)
    calling = asyncio.create_task(person.page.evaluate(CALLS))
    for service in REPLICAS:
        await asyncio.to_thread(compose, "up", "--detach", "--no-deps", "--force-recreate", "--wait", service)
    await person.page.evaluate("() => { window.over = true; }")
    await calling
    statuses = Counter(await person.page.evaluate("() => window.calls"))
    print(f"calls while both replicas were replaced: {dict(statuses)}")
    assert statuses.keys() == {200}
    assert statuses[200] > 20


@pytest.mark.parametrize("service", REPLICAS)
async def test_a_replica_has_no_rights_and_nothing_to_build_with(
    compose: Compose, person: Person, service: str
) -> None:
    assert (await asyncio.to_thread(compose.inside, service, "id", "-u")).stdout.strip() == "10001"
    refused = await asyncio.to_thread(compose.inside, service, "touch", "/opt/bff/x")
    assert "Read-only file system" in refused.stderr
    for tool in ("gcc", "make", "git"):
        assert (await asyncio.to_thread(compose.inside, service, "which", tool)).returncode != 0


async def test_a_replica_that_is_told_to_stop_ends_in_order(compose: Compose, person: Person) -> None:
    await asyncio.to_thread(compose, "stop", "bff-1")
    state = (await asyncio.to_thread(compose.inspect, "bff-1"))["State"]
    assert isinstance(state, dict)
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
    await served_again(person)
    await asyncio.to_thread(compose, "up", "--detach", "--no-deps", "--wait", "bff-1")


async def test_no_log_holds_a_secret(compose: Compose, person: Person) -> None:
    canaries = Canaries({})
    for name in SECRETS:  # one by one: not every file ends with a line break
        read = await asyncio.to_thread(compose.inside, "bff-1", "cat", f"/run/bff/{name}")
        assert read.returncode == 0, name
        canaries.add_files({name: read.stdout})
    logs = await asyncio.to_thread(compose, "logs", "--no-color")
    assert all(f"{replica}-1 " in logs for replica in REPLICAS)
    assert canaries.found_in(logs) == []
    assert (await asyncio.to_thread(compose.inside, "bff-1", "cat", "/run/bff/redis.conf")).returncode != 0
