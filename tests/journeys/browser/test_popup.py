"""A sign-in in a popup, in a real browser: the page stays as it is, hears of the end, and then of the session's."""

import pytest
from playwright.async_api import Page, expect

from tests.harness.person import PATIENCE, Person

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

ID = "journey-of-a-popup"
# What a page's own scripts would write, with everything that happens noted in one list.
LISTEN = """() => {
  const seen = (window.seen = []);
  window.typed = "half a form";
  new BroadcastChannel("bff-sign-in").onmessage = ({ data }) =>
    seen.push([data.type, data.id, data.outcome, data.code].join(" "));
}"""
OPEN = "(query) => { window.popup = window.open('/auth/login?mode=popup&popup_id=' + query, '', 'popup'); }"
EVENTS = """() => {
  const source = (window.source = new EventSource("/auth/session/events"));
  source.onopen = () => seen.push("stream open");
  source.onerror = () => seen.push(`stream ${["connects", "open", "closed"][source.readyState]}`);
  for (const name of ["ended", "expiring", "renewed", "signed_in"])
    source.addEventListener(name, ({ data }) => seen.push(`${name} ${data}`));
}"""


async def seen(page: Page, *wanted: str) -> None:
    """Returns once everything `wanted` has happened."""
    await page.wait_for_function(
        "(wanted) => wanted.every((each) => seen.includes(each))", arg=list(wanted), timeout=PATIENCE
    )


async def test_a_sign_in_in_a_popup_leaves_the_page_as_it_is(person: Person) -> None:
    page = person.page
    await person.open("/favicon.svg")  # of the app, without its scripts
    await page.evaluate(LISTEN)
    async with page.expect_popup() as opening:
        await page.evaluate(OPEN, ID)
    popup = await opening.value
    await popup.get_by_label("Username").fill(person.demo.login)
    await popup.get_by_label("Password").fill(person.demo.password)
    async with popup.expect_event("close", timeout=PATIENCE):
        await popup.get_by_role("button", name="Sign in").click()
    await seen(page, f"sign_in {ID} finished ")
    assert await page.evaluate("typed") == "half a form"
    session = "fetch('/auth/session').then((answer) => answer.json())"
    assert (await page.evaluate(session))["authenticated"] is True
    await page.evaluate(EVENTS)
    await seen(page, "stream open")
    await person.call("/auth/logout", method="POST")
    await seen(page, 'ended {"reason":"signed_out"}', "stream closed")  # it connected again, and got 401
    assert (await page.evaluate(session))["reason"] == "signed_out"


async def test_an_error_in_a_popup_is_heard_and_stays_readable(person: Person) -> None:
    page = person.page
    await person.open("/favicon.svg")
    await page.evaluate(LISTEN)
    async with page.expect_popup() as opening:
        await page.evaluate(OPEN, f"{ID}&prompt=consent")
    popup = await opening.value
    await seen(page, f"sign_in {ID} failed invalid_request")
    await expect(popup.get_by_text("The parameter prompt has a value")).to_be_visible(timeout=PATIENCE)
    async with popup.expect_event("close", timeout=PATIENCE):
        # The click is not awaited, for it may close the page before the answer to it has arrived.
        await popup.get_by_role("button", name="Close this window").evaluate(
            "(button) => setTimeout(() => button.click())"
        )
