"""Ten real tabs of Chromium, and how often they ask the BFF for the session: counted at the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bff.session.session import EndReason
from demo.simulator.people import PASSWORD
from tests.clients.served_page import ALICE
from tests.clients.windows import WITHIN
from tests.harness.chromium import chromium
from tests.harness.waiting import until
from tests.harness.world import World, listening, serving, small_world

pytestmark = [pytest.mark.clients, pytest.mark.asyncio(loop_scope="session")]

TABS = 10
# No limit and, once `timersStopped` is set, no timer: what is counted does not depend on how fast the machine is.
WITHOUT_TIME = """
AbortSignal.timeout = () => new AbortController().signal;
const setTimer = setTimeout;
globalThis.setTimeout = (callback, ...rest) => setTimer(() => globalThis.timersStopped || callback(), ...rest);
globalThis.EventSource = class extends EventSource {
  constructor(...given) {
    super(...given);
    this.addEventListener("open", () => (globalThis.streams = (globalThis.streams ?? 0) + 1));
  }
};
"""
# Whether so many tabs wait for the answer that another one gets.
ARE_WAITING = """async (count) => {
  const { pending } = await navigator.locks.query();
  return pending.filter(({ name }) => !name.endsWith(":leader")).length === count;
}"""


@dataclass
class SessionQuestions:
    """Counts `GET /auth/session` on the way to `app`, and holds them while `may_answer` is not set."""

    app: ASGIApp
    count: int = 0
    open: int = 0
    most: int = 0  # at the same time
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", "/auth/session"):
            await self.app(scope, receive, send)
            return
        self.count += 1
        self.open += 1
        self.most = max(self.most, self.open)
        await self.may_answer.wait()

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.open -= 1  # before the browser can know it, and another tab asks
            await send(message)

        await self.app(scope, receive, send_counted)


@asynccontextmanager
async def counted(folder: Path, spa: Path) -> AsyncIterator[tuple[World, SessionQuestions]]:
    """A world whose public address leads through the counter."""
    with listening() as public:
        address = f"http://localhost:{public.getsockname()[1]}"
        registered: dict[str, Any] = {
            "redirect_uris": (f"{address}/authorization-code/callback",),
            "post_logout_redirect_uris": (f"{address}/",),
        }
        async with small_world(folder, okta=registered, public_url=address, spa_dir=str(spa)) as world:
            questions = SessionQuestions(world.bff)
            questions.may_answer.set()
            async with serving(questions, public):
                yield world, questions


@asynccontextmanager
async def context() -> AsyncIterator[BrowserContext]:
    async with chromium() as browser:
        running = await browser.new_context()
        running.set_default_timeout(WITHIN * 1000)
        await running.add_init_script(WITHOUT_TIME)
        yield running


async def shows(tab: Page, text: str) -> None:
    await expect(tab.locator("#session")).to_have_text(text, timeout=WITHIN * 1000)


async def sign_in(tab: Page) -> None:
    await tab.locator("#redirect").click()
    await tab.get_by_label("Username").fill("alice@example.com")
    await tab.get_by_label("Password").fill(PASSWORD)
    await tab.get_by_role("button", name="Sign in").click()
    await shows(tab, ALICE)


async def test_ten_tabs_ask_one_question_at_a_time_and_share_its_answer(tmp_path: Path, spa: Path) -> None:
    async with counted(tmp_path, spa) as (world, questions), context() as browser:
        address = world.environ["BFF_PUBLIC_URL"]
        first = await browser.new_page()
        await first.goto(address)
        await shows(first, "anonymous")
        await sign_in(first)
        await until(lambda: first.evaluate("globalThis.streams"), within=WITHIN)
        await first.evaluate("client.bff.session.refresh()")
        questions.count = questions.most = 0

        tabs = [first, *[await browser.new_page() for _ in range(TABS - 1)]]
        await asyncio.gather(*(tab.goto(address) for tab in tabs[1:]))
        for tab in tabs:
            await shows(tab, ALICE)
            await tab.evaluate("client.bff.session.refresh()")  # what the tab has asked is answered
        assert questions.most == 1, "while nine tabs were opened at once"
        assert [await tab.evaluate("globalThis.streams") for tab in tabs] == [1, *[None] * (TABS - 1)]

        for tab in tabs:
            await tab.evaluate("globalThis.timersStopped = true")
        questions.count = 0
        questions.may_answer.clear()
        for tab in tabs:
            await tab.evaluate("void (client.answer = client.bff.session.refresh())")
        await until(lambda: first.evaluate(ARE_WAITING, TABS - 1), within=WITHIN)
        questions.may_answer.set()
        answers = await asyncio.gather(*(tab.evaluate("client.answer") for tab in tabs))
        assert [answer["status"] for answer in answers] == ["authenticated"] * TABS
        assert (questions.count, questions.most) == (1, 1), "ten tabs at the same time"

        await world.bff.flows.sessions.end_sessions.these([await world.stored()], EndReason.OPERATOR)
        for tab in tabs:
            await shows(tab, "anonymous operator")
        assert questions.count == 1, "an end is announced, not asked for"
