"""A person at a browser: signs in, looks, presses buttons. Waits for what is seen, never for a time."""

import json
from dataclasses import dataclass
from typing import Any

from playwright.async_api import BrowserContext, Page, expect

from tests.harness.leak_watch import LeakWatch
from tests.harness.running_demo import RunningDemo

PATIENCE = 60_000  # milliseconds; a limit that fails a test, not something to wait for


@dataclass(slots=True)
class Person:
    demo: RunningDemo
    context: BrowserContext
    page: Page
    watch: LeakWatch

    @classmethod
    async def at(cls, demo: RunningDemo, context: BrowserContext) -> "Person":
        context.set_default_timeout(PATIENCE)
        page = await context.new_page()
        watch = LeakWatch(demo.url)
        await watch.watch(context, page)
        return cls(demo, context, page, watch)

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.demo.url + path)

    async def sign_in(self, path: str = "/") -> None:
        await self.open(path)
        await self.page.locator("#sign-in").click()
        await self.page.get_by_label("Username").fill(self.demo.login)
        await self.page.get_by_label("Password").fill(self.demo.password)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.sees_that_they_are_signed_in()

    async def sees_that_they_are_signed_in(self, page: Page | None = None) -> None:
        heading = (page or self.page).locator("#headline-title")
        await expect(heading).to_have_text("You are signed in, Alice.", timeout=PATIENCE)
        await expect(heading).to_be_visible(timeout=PATIENCE)

    async def sees_that_nobody_is_signed_in(self, page: Page | None = None) -> None:
        await expect((page or self.page).locator("#sign-in")).to_be_visible(timeout=PATIENCE)

    async def presses(self, name: str) -> None:
        await self.page.get_by_role("button", name=name).click()

    async def sees(self, selector: str, text: str) -> None:
        await expect(self.page.locator(selector)).to_contain_text(text, timeout=PATIENCE)

    async def sees_a_count(self, selector: str, number: str, least: int) -> None:
        """Waits until the number that `number` finds in the text is `least` or more: a busy page may leave out some."""
        await self.page.wait_for_function(
            "([selector, number, least]) => "
            "Number(document.querySelector(selector)?.textContent.match(new RegExp(number))?.[1]) >= least",
            arg=[selector, number, least],
            timeout=PATIENCE,
        )

    async def signs_out(self) -> None:
        """By way of the provider: until it has answered, the page that is left may show the way to sign in, too."""
        async with self.page.expect_response("**/v1/logout?*", timeout=PATIENCE):
            await self.presses("Sign out")
        await self.sees_that_nobody_is_signed_in()

    async def takes_okta_down(self) -> None:
        """By the button, and for longer than its 20 s: on a busy machine these are over before all has been seen."""
        away = json.dumps({"seconds": 300, "how": "refuse"})
        await self.page.route("**/simulator/down", lambda route: route.continue_(post_data=away))
        await self.presses("Take Okta down for 20 s")

    async def reads_in_the_journal(self, text: str) -> None:
        await expect(self.page.locator("#journal li").filter(has_text=text).first).to_be_visible(timeout=PATIENCE)

    async def call(self, path: str, **init: Any) -> dict[str, Any]:
        """Calls the API as the page's own scripts do: status, headers and JSON of the answer."""
        found: dict[str, Any] = await self.page.evaluate(
            """async ([path, init]) => {
                 const answer = await fetch(path, {headers: {"X-CSRF": "1"}, ...init});
                 const text = await answer.text();
                 let json = null;
                 try { json = JSON.parse(text) } catch {}
                 return {status: answer.status, json, retryAfter: answer.headers.get("Retry-After")};
               }""",
            [path, init],
        )
        return found

    async def rotations(self) -> int:
        """How often this person's newest sign-in has been renewed, by the simulated Okta's own count."""
        session = await self.call("/auth/session")
        sub = session["json"]["user"]["sub"]
        mine = [family for family in self.demo.okta("/state")["families"] if family["sub"] == sub]
        return int(max(mine, key=lambda family: family["issued_at"])["rotation_count"])

    async def holds_no_token(self) -> None:
        await self.watch.look_into(self.page)
        events = self.demo.okta("/events?after=0")["events"]
        await self.watch.assert_no_token({e["refresh_token"] for e in events if e.get("refresh_token")})
