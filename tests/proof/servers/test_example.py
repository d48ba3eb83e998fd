"""The example application as its README runs it: its own tests, and a person under each server."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.async_api import expect
from starlette.types import Receive, Scope, Send

from bff.base64url import encode_base64url
from bff.session.keyring import new_key
from bff.testing.provider import FakeProvider
from bff.testing.upstreams import FakeUpstreams
from demo.simulator.people import PASSWORD
from demo.simulator.server import running_simulator
from tests.harness.chromium import chromium
from tests.harness.command_blocks import command_block, commands
from tests.harness.http_browser import Browser
from tests.harness.places import ROOT
from tests.harness.ports import free_port
from tests.harness.waiting import PATIENCE, until
from tests.harness.world import CLIENT_ID, CLIENT_SECRET, listening, serving
from tests.harness.world.provider import provider_config
from tests.proof.servers.processes import OURS, SERVERS, Running, accepts, running

pytestmark = pytest.mark.servers

FOLDER = ROOT / "examples" / "fastapi-app"


def test_its_own_tests_pass() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass
class Shop:
    server: Running
    browser: Browser
    may_answer: asyncio.Event
    waiting: list[Scope]


@asynccontextmanager
async def shop(arguments: str, folder: Path) -> AsyncIterator[Shop]:
    port, apis = free_port(), FakeUpstreams(FakeProvider())
    apis.respond("orders", "/latest", [{"id": 1, "total": "9.90"}])
    apis.respond("profile", "/me", {"city": "Paris"})
    public_url = f"http://localhost:{port}"
    may_answer, waiting = asyncio.Event(), list[Scope]()
    may_answer.set()

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.append(scope)
        await may_answer.wait()
        waiting.remove(scope)
        await apis(scope, receive, send)

    with listening() as behind:
        upstream = f"http://127.0.0.1:{behind.getsockname()[1]}"
        routes = [
            {"prefix": f"/api/{name}", "upstream": f"{upstream}/{name}", "strip_prefix": True}
            for name in ("orders", "profile")
        ]
        async with running_simulator(provider_config(public_url)) as okta, serving(answer, behind):
            environ = {
                "BFF_ISSUER": okta.issuer,
                "BFF_CLIENT_ID": CLIENT_ID,
                "BFF_CLIENT_SECRET": CLIENT_SECRET,
                "BFF_PUBLIC_URL": public_url,
                "BFF_SESSION_KEYS": encode_base64url(new_key()),
                "BFF_STORE": f"sqlite:///{folder / 'bff.db'}",
                "BFF_ROUTES": json.dumps(routes),
                "BFF_MANAGEMENT_LISTEN": "off",
                "BFF_DRAIN_DELAY": "0",
                "OUTPUT": str(folder / "output"),
            }
            async with running(arguments, "shop:app", FOLDER, environ, port=port) as server:
                browser = Browser(public_url)
                try:
                    yield Shop(server, browser, may_answer, waiting)
                finally:
                    await browser.close()


@pytest.mark.parametrize("server", [*SERVERS, *OURS])
async def test_a_person_signs_in_and_gets_a_screen_under_each_server(server: str, tmp_path: Path) -> None:
    async with shop({**SERVERS, **OURS}[server], tmp_path) as running:
        browser = running.browser
        assert (await browser.fetch("/screens/home")).json()["code"] == "sign_in_required"
        await browser.sign_in(return_to="/orders/1")
        assert "<title>Shop</title>" in browser.seen[-1].text
        home = {"name": "Alice Liddell", "city": "Paris", "orders": [{"id": 1, "total": "9.90"}]}
        answers = await asyncio.gather(*(browser.fetch("/screens/home") for _ in range(10)))
        assert [answer.json() for answer in answers] == [home] * 10
        assert (await browser.fetch("/api/orders/latest")).json() == home["orders"]
        assert (await browser.fetch("/notes", "POST", json={"order": 1, "text": "x"})).status_code == 403
        assert (await browser.http.post(f"{browser.app}/notes")).json()["code"] == "csrf_required"
        assert "/screens/home" in (await browser.fetch("/openapi.json")).text
        await browser.sign_out()
        assert (await browser.fetch("/screens/home")).status_code == 401
        code = await running.server.end()
        output = running.server.output.read_text()
        if server in OURS:
            assert code == 0, output
            assert "the server is not" not in output
        else:
            assert output.count("the server is not `bff serve`") == 1
            assert "/authorization-code/callback" in output, "there is an access log"
        callback = next(seen.request.url for seen in browser.seen if seen.request.url.path.endswith("/callback"))
        assert callback.params["code"] not in output, "the access log has no authorization code"


async def test_the_page_of_the_shop_in_a_browser(tmp_path: Path) -> None:
    async with shop(OURS["bff serve"], tmp_path) as running, chromium() as browser:
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE * 1000)
        page = await context.new_page()
        await page.goto(f"{running.browser.app}/orders/1")
        await expect(page.get_by_text("Sign in to see your orders.")).to_be_visible(timeout=PATIENCE * 1000)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_label("Username").fill("alice@example.com")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("status")).to_have_text("Hello Alice Liddell from Paris", timeout=PATIENCE * 1000)
        await expect(page.get_by_role("listitem")).to_have_text(["Order 1: 9.90"], timeout=PATIENCE * 1000)
        assert page.url == f"{running.browser.app}/orders/1"
        other = await context.new_page()
        await other.goto(running.browser.app)
        await other.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("status")).to_have_text("Sign in to see your orders.", timeout=PATIENCE * 1000)
        await expect(page.get_by_role("listitem")).to_have_count(0)


async def test_the_commands_of_the_readme(tmp_path: Path) -> None:
    lines = commands(command_block("examples/fastapi-app/README.md: A FastAPI application with the BFF installed"))
    assert lines[0].strip() == "pytest", "which another test runs"
    for line in lines[1:]:
        arguments = line.strip().replace("shop:app", "{app}").replace("--port 8000", "--port {port}")
        (tmp_path / str(lines.index(line))).mkdir()
        async with shop(arguments, tmp_path / str(lines.index(line))) as running:
            await running.browser.sign_in()
            assert (await running.browser.fetch("/screens/home")).status_code == 200, line


@pytest.mark.parametrize("server", OURS)
async def test_a_request_in_progress_is_completed_at_the_end(server: str, tmp_path: Path) -> None:
    async with shop(OURS[server], tmp_path) as running:
        await running.browser.sign_in()
        running.may_answer.clear()
        screen = asyncio.create_task(running.browser.fetch("/screens/home"))
        await until(lambda: running.waiting)
        ended = asyncio.create_task(running.server.end())
        await until(lambda: not accepts(running.server.port))
        assert not screen.done()
        running.may_answer.set()
        assert (await screen).status_code == 200
        assert await ended == 0
