"""An event stream and a WebSocket of the page, in a real browser: they flow, and they end when the person signs out."""

import pytest
from playwright.async_api import Page

from tests.harness.person import PATIENCE, Person

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("browser")]

# What a page's own scripts would write, with everything that happens noted in one list.
OPEN = """() => {
  const seen = (window.seen = []);
  const source = (window.source = new EventSource("/api/time"));
  source.addEventListener("time", () => seen.includes("event") || seen.push("event"));
  source.addEventListener("error", () => seen.push(`stream ${["connects", "open", "closed"][source.readyState]}`));
  const socket = (window.socket = new WebSocket(`ws://${location.host}/api/socket`, ["chat.v2", "chat.v1"]));
  socket.addEventListener("open", () => {
    seen.push(`socket open ${socket.protocol}`);
    socket.send("hello");
    socket.send(new Uint8Array([0, 255]));
  });
  socket.addEventListener("message", async ({ data }) =>
    seen.push(typeof data === "string" ? `text ${data}` : `bytes ${[...new Uint8Array(await data.arrayBuffer())]}`));
  socket.addEventListener("close", ({ code, reason }) => seen.push(`socket closed ${code} ${reason}`));
}"""


async def seen(page: Page, *wanted: str) -> list[str]:
    """All that happened, once everything `wanted` is among it."""
    await page.wait_for_function(
        "(wanted) => wanted.every((each) => seen.includes(each))", arg=list(wanted), timeout=PATIENCE
    )
    found: list[str] = await page.evaluate("seen")
    return found


async def test_a_stream_and_a_socket_flow_and_end_when_the_person_signs_out(person: Person) -> None:
    await person.sign_in()
    # A page of the same app whose own scripts stay out of the way.
    watched = await person.context.new_page()
    await watched.goto(person.demo.url + "/favicon.svg")
    await watched.evaluate(OPEN)
    before = await seen(watched, "event", "socket open chat.v2", "text hello", "bytes 0,255")
    assert not [each for each in before if "closed" in each or "connects" in each]
    # In another tab the person signs out.
    answer = await person.call(
        "/auth/logout", method="POST", headers={"X-CSRF": "1", "Content-Type": "application/json"}
    )
    assert answer["status"] == 200
    after = await seen(watched, "socket closed 4401 signed_out", "stream closed")
    # The stream broke off, the browser asked again by itself, was told 401, and gave up.
    assert after.index("stream connects") < after.index("stream closed")
    assert await watched.evaluate("source.readyState") == 2
    said = await watched.evaluate("fetch('/auth/session', {headers: {'X-CSRF': '1'}}).then((answer) => answer.json())")
    assert said["authenticated"] is False
    await person.holds_no_token()


async def test_another_site_opens_no_socket_of_ours(person: Person) -> None:
    await person.sign_in()
    elsewhere = await person.context.new_page()
    await elsewhere.route(
        "http://evil.test/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html")
    )
    await elsewhere.goto("http://evil.test/")
    closed = await elsewhere.evaluate(
        """(url) => new Promise((done) => {
             const socket = new WebSocket(url);
             socket.addEventListener("open", () => done("open"));
             socket.addEventListener("close", ({ code }) => done(`closed ${code}`));
           })""",
        person.demo.url.replace("http", "ws") + "/api/socket",
    )
    assert closed == "closed 1006"
