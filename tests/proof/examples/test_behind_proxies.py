"""nginx and Caddy as the examples set them up, in both modes, with a real browser in front."""

import re
from pathlib import Path
from typing import Any

import pytest

from demo.simulator.people import PEOPLE
from tests.harness.plain_http import plain_http
from tests.proof.examples.deployment import PATIENCE, Deployment, Front, deployed
from tests.proof.examples.proxies import caddy, nginx
from tests.proof.examples.test_configuration import spellings

pytestmark = pytest.mark.xdist_group("browser")

CSRF = {"X-CSRF": "1"}
UPLOAD = 8  # MiB
FRONTS = pytest.mark.parametrize("front", [nginx, caddy])

# What a page's own scripts would write; the socket's address takes the page's scheme and host.
STREAMS = """() => {
  const seen = (window.seen = []);
  const source = (window.source = new EventSource("/api/time"));
  source.addEventListener("time", ({ data }) => seen.push(`event ${JSON.parse(data).n}`));
  const socket = (window.socket = new WebSocket(`wss://${location.host}/api/socket`, ["chat"]));
  socket.addEventListener("open", () => socket.send("hello"));
  socket.addEventListener("message", ({ data }) => seen.push(`echo ${data} ${socket.protocol}`));
  socket.addEventListener("close", ({ code }) => seen.push(`closed ${code}`));
}"""


async def events_and_a_socket_flow(app: Deployment) -> None:
    await app.page.evaluate(STREAMS)
    wanted = ["event 1", "event 2", "echo hello chat"]
    await app.page.wait_for_function(
        "(wanted) => wanted.every((each) => seen.includes(each))", arg=wanted, timeout=PATIENCE
    )
    await app.page.evaluate("source.close(), socket.close()")


async def the_api_answers(app: Deployment) -> None:
    """With the access token of the person, by HTTP/2, to a call and to an upload."""
    answer = await app.fetch("/api/echo?a=b%20c", method="POST", headers=CSRF, megabytes=UPLOAD)
    assert (answer["status"], answer["protocol"]) == (200, "h2")
    assert answer["json"]["body_length"] == UPLOAD * 1024 * 1024
    assert answer["json"]["query"] == "a=b%20c"
    assert answer["json"]["access_token"]["sub"] == PEOPLE[0].login
    assert "cookie" not in headers_of(answer)
    refused = await app.fetch("/api/echo", method="POST")
    assert (refused["status"], refused["json"]["code"]) == (403, "csrf_required")
    assert refused["type"] == "application/problem+json"


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    """The headers that reached the sample API."""
    return dict(answer["json"]["headers"])


async def the_cookies_are_bound_to_this_host(app: Deployment) -> None:
    cookies = {cookie["name"]: cookie for cookie in await app.context.cookies(app.url)}
    session = cookies["__Host-Http-session"]
    assert (session["secure"], session["httpOnly"], session["sameSite"]) == (True, True, "Strict")
    assert all(name.startswith("__Host-Http-") for name in cookies)


async def signs_out(app: Deployment) -> None:
    said = await app.fetch("/auth/logout", method="POST", headers=CSRF)
    await app.page.evaluate("(url) => { location.assign(url) }", said["json"]["end_session_url"])
    await app.page.wait_for_url(re.compile(re.escape(app.url) + r"/(\?state=.*)?$"))
    answer = await app.fetch("/api/echo", headers=CSRF)
    assert (answer["status"], answer["json"]["code"]) == (401, "sign_in_required")
    assert answer["type"] == "application/problem+json"


async def plain_http_leads_to_tls(app: Deployment) -> None:
    async with plain_http() as client:
        answer = await client.get(f"http://localhost:{app.places.plain}/x?y=z")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{app.url}/x?y=z"


@FRONTS
async def test_in_proxy_mode_a_person_signs_in_works_and_signs_out(tmp_path: Path, front: Front) -> None:
    async with deployed(tmp_path, front, "proxy") as app:
        await plain_http_leads_to_tls(app)
        await app.page.goto(f"{app.url}/auth/login?return_to=/somewhere")
        await app.signs_in_at_okta()
        await app.page.wait_for_url(f"{app.url}/somewhere")
        await app.sees("You are signed in, Alice.")
        await the_cookies_are_bound_to_this_host(app)
        await the_api_answers(app)
        await events_and_a_socket_flow(app)
        await signs_out(app)
        await app.holds_no_token()


@FRONTS
async def test_in_forward_auth_mode_a_protected_page_opens_straight_after_the_sign_in(
    tmp_path: Path, front: Front
) -> None:
    async with deployed(tmp_path, front, "forward-auth") as app:
        steps: list[str] = []
        app.page.on("framenavigated", lambda frame: steps.append(frame.url))
        await app.page.goto(f"{app.url}/reports/?year=2026")
        assert "/auth/login" not in app.page.url
        await app.signs_in_at_okta()
        await app.page.wait_for_url(f"{app.url}/reports/?year=2026")
        await app.sees("The reports")
        # The Strict cookie was not sent on the way back from Okta, and nobody was asked to sign in twice.
        assert [step for step in steps if "/auth/landing" in step]
        assert len(re.findall("/authorize", " ".join(steps))) == 1
        await the_cookies_are_bound_to_this_host(app)
        await the_api_answers(app)
        await events_and_a_socket_flow(app)
        await signs_out(app)
        await app.page.goto(f"{app.url}/reports/")
        assert app.page.url.startswith(app.okta.base_url)
        await app.page.goto(app.url)
        await app.holds_no_token()


@FRONTS
async def test_in_forward_auth_mode_the_api_hears_the_bff_and_not_the_client(tmp_path: Path, front: Front) -> None:
    async with deployed(tmp_path, front, "forward-auth") as app:
        forged = {"Authorization": "Bearer forged", "X-User-Sub": "admin", "X-User-Email": "admin@example.com"}
        more = {name: "admin" for header in ("X-User-Sub", "X-User-Email") for name in spellings(header)}
        lies = {"X-Original-Method": "GET", "X-Forwarded-Method": "GET", "X-Original-URI": "/", "X-Forwarded-Uri": "/"}
        await app.page.goto(app.url)
        nobody = await app.fetch("/api/echo", headers={**CSRF, **forged})
        assert (nobody["status"], nobody["json"]["code"]) == (401, "sign_in_required")
        forwarded = "fetch('/api/echo', {method: 'DELETE'}).then((answer) => answer.headers.get('X-BFF-Forwarded'))"
        assert await app.page.evaluate(forwarded) == "no"
        await app.page.goto(f"{app.url}/auth/login")
        await app.signs_in_at_okta()
        await app.sees("You are signed in, Alice.")
        answer = await app.fetch("/api/echo", headers={**CSRF, **forged, **more, **lies})
        assert answer["status"] == 200
        heard = headers_of(answer)
        assert answer["json"]["access_token"]["sub"] == PEOPLE[0].login  # the sample API verified the token
        assert (heard["x-user-sub"], heard["x-user-email"]) == (PEOPLE[0].sub, PEOPLE[0].login)
        names = [re.sub("[_.]", "-", name) for name, _ in answer["json"]["headers"]]
        assert (names.count("x-user-sub"), names.count("x-user-email"), names.count("authorization")) == (1, 1, 1)
        assert "admin" not in str(answer["json"]["headers"])
        # A method that a client only claims does not spare it the CSRF header.
        refused = await app.fetch("/api/echo", method="POST", headers=lies)
        assert (refused["status"], refused["json"]["code"]) == (403, "csrf_required")
        # On the public port the question is answered without a token.
        asked = await app.page.evaluate("fetch('/auth/verify').then((answer) => [...answer.headers.keys()])")
        assert "authorization" not in asked
