"""axe-core finds nothing on any of our pages, and nothing is missing on any of them."""

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response, expect

from demo.simulator import pages
from tests.harness.accessibility import accessibility_findings
from tests.harness.person import PATIENCE, Person
from tests.harness.running_demo import RunningDemo

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]


async def focused(page: Page) -> str:
    """The id of the element that has the focus."""
    return str(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["two looks", "every look"])
def every_look(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest_asyncio.fixture(loop_scope="session")
async def page(demo: RunningDemo, browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield await context.new_page()
    await context.close()


@pytest.mark.parametrize(
    ("path", "heading"),
    [
        ("/", "The browser never holds a token."),
        ("/auth/logout", "Sign out?"),
        ("/auth/unknown", "no"),
        ("/api/orders", "not proven"),
        ("/auth/login?max_age=soon", "request"),
        ("/auth/login?max_age=soon&mode=popup", "request"),
        ("/authorization-code/callback?code=x&state=y", "sign-in"),
    ],
)
async def test_the_pages_of_the_bff(demo: RunningDemo, page: Page, path: str, heading: str, every_look: bool) -> None:
    assert (await page.request.get(demo.url + "/favicon.ico")).status == 200  # a browser asks on its own
    await page.goto(demo.url + path)
    await expect(page.get_by_role("heading", level=1)).to_contain_text(
        re.compile(heading, re.IGNORECASE), timeout=PATIENCE
    )
    assert await accessibility_findings(page, every_look=every_look) == []


async def test_the_page_between_two_sites(demo: RunningDemo, page: Page, every_look: bool) -> None:
    navigation = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    html = await (await page.request.get(demo.url + "/auth/landing?to=/", headers=navigation)).text()
    await page.set_content(html.replace('http-equiv="refresh"', 'name="no-refresh"'))
    await expect(page.get_by_role("link", name="Go on")).to_be_visible()
    assert await accessibility_findings(page, every_look=every_look) == []


async def test_the_page_that_a_popup_ends_on(demo: RunningDemo, page: Page, every_look: bool) -> None:
    navigation = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    html = await (await page.request.get(demo.url + "/auth/popup", headers=navigation)).text()
    await page.set_content(html.replace('data-outcome="finished"', 'data-outcome="open"'))  # it would close
    await expect(page.get_by_role("button", name="Close this window")).to_be_visible()
    assert await accessibility_findings(page, every_look=every_look) == []


async def test_the_pages_of_the_simulated_okta(demo: RunningDemo, page: Page, every_look: bool) -> None:
    await page.goto(demo.url + "/auth/login")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Sign In")
    assert await accessibility_findings(page, every_look=every_look) == []
    issuer = page.url.partition("/v1/")[0]
    await page.get_by_label("Username").fill(demo.login)
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    assert await accessibility_findings(page, every_look=every_look) == []
    icon = await page.request.get(page.url.partition("/signin")[0] + "/favicon.ico")
    assert (icon.status, icon.headers["content-type"]) == (200, "image/svg+xml")
    await page.goto(f"{issuer}/v1/authorize?{urlencode({'client_id': 'unknown', 'redirect_uri': 'http://x.example'})}")
    await expect(page.get_by_role("heading", level=1)).to_have_text("400")
    assert await accessibility_findings(page, every_look=every_look) == []


@pytest.mark.parametrize(
    "html",
    [
        pytest.param(pages.signed_out(), id="signed out"),
        pytest.param(pages.form_post("https://app.example.com/callback", {"code": "x"}), id="form_post"),
    ],
)
async def test_the_pages_on_which_nobody_stays(page: Page, html: str, every_look: bool) -> None:
    await page.set_content(html.replace("onload=", "data-onload="))
    assert await accessibility_findings(page, every_look=every_look) == []


async def test_the_demo_signed_in_and_out_and_where_the_focus_is(person: Person, every_look: bool) -> None:
    missing: list[str] = []

    def note(response: Response) -> None:
        if response.status == 404:
            missing.append(response.url)

    person.context.on("response", note)
    await person.open()
    await person.sees_that_nobody_is_signed_in()
    assert await focused(person.page) == "welcome-title"
    await person.sign_in()
    assert await focused(person.page) == "headline-title"
    await person.sees("#log", "BFF.log")
    await person.presses("Call the API")
    await person.sees("#answer", "orders")
    await person.presses("Lose the next token answer")
    await person.sees("#trial-lose .result", "You are still signed in")
    assert await accessibility_findings(person.page, every_look=every_look) == []
    await person.takes_okta_down()
    await person.sees("#okta-state", "down")
    await person.reads_in_the_journal("503 with Retry-After")
    assert await accessibility_findings(person.page, every_look=every_look) == []
    person.demo.okta("/up", {})
    await person.sees("#trial-down .result", "You are still signed in")
    await person.page.set_viewport_size({"width": 375, "height": 740})
    await expect(person.page.locator("#who-name")).to_have_text("Alice Liddell")
    cut_off = "(all) => all.some((element) => element.clientWidth && element.scrollWidth > element.clientWidth + 1)"
    assert await person.page.locator(".top *").evaluate_all(cut_off) is False
    await person.signs_out()
    await person.sees("#ended", "You have signed out.")
    assert await focused(person.page) == "ended"
    assert await accessibility_findings(person.page, every_look=every_look) == []
    assert missing == []
