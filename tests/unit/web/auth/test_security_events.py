"""Push delivery: which deliveries are accepted, and how the transmitter learns why another one is not."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bff.oidc.security_events import CAEP
from tests.harness.asgi_call import Response, call
from tests.harness.security_events import AUDIENCE, REVOKED, iss_sub, security_event_token
from tests.harness.web_parts import WebParts, web_parts

PATH = "/auth/security-events"
SECRET = "Bearer canary-delivery-0123456789"
TYPE, HEADER = "content-type: application/secevent+jwt", f"authorization: {SECRET}"


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[WebParts]:
    async with web_parts(
        tmp_path,
        security_events="push",
        security_events_authorization=SECRET,
        public_url=AUDIENCE.removesuffix(PATH),
    ) as parts:
        yield parts


def token(parts: WebParts, **changes: Any) -> str:
    return security_event_token(parts.clock(), {REVOKED: {"subject": {"user": iss_sub("00u1")}}}, **changes)


async def deliver(parts: WebParts, body: str | bytes, *lines: str) -> Response:
    content = body.encode() if isinstance(body, str) else body
    return await call(parts.public, "POST", PATH, *(lines or (TYPE, HEADER)), body=content)


async def test_a_delivery_ends_the_session_and_may_be_repeated(parts: WebParts) -> None:
    browser = parts.browser()
    assert (await browser.sign_in()).status == 303
    compact = token(parts)
    for _ in range(2):
        response = await deliver(parts, compact)
        assert (response.status, response.body, response.one("cache-control")) == (202, b"", "no-store")
    assert await parts.sessions() == []
    assert await browser.session() == {"authenticated": False, "reason": "security_event"}


@pytest.mark.parametrize(
    ("lines", "changes", "status", "err"),
    [
        ((TYPE,), {}, 401, "authentication_failed"),
        ((TYPE, "authorization: Bearer another"), {}, 401, "authentication_failed"),
        ((TYPE, HEADER, HEADER), {}, 401, "authentication_failed"),
        ((TYPE, f"authorization: {SECRET.lower()}"), {}, 401, "authentication_failed"),
        (("content-type: application/jwt", HEADER), {}, 400, "invalid_request"),
        ((HEADER,), {}, 400, "invalid_request"),
        ((TYPE, HEADER), {"aud": "https://another.example"}, 400, "invalid_audience"),
        ((TYPE, HEADER), {"iss": "https://another.example"}, 400, "invalid_issuer"),
        ((TYPE, HEADER), {"header": {"kid": "k9"}}, 400, "invalid_key"),
        ((TYPE, HEADER), {"header": {"typ": "JWT"}}, 400, "invalid_request"),
    ],
)
async def test_a_refused_delivery_says_why(
    parts: WebParts, lines: tuple[str, ...], changes: dict[str, Any], status: int, err: str
) -> None:
    assert (await parts.browser().sign_in()).status == 303
    response = await deliver(parts, token(parts, **changes), *lines)
    assert response.status == status
    assert (response.one("content-type"), response.one("content-language")) == ("application/json", "en")
    problem = json.loads(response.body)
    assert problem.keys() == {"err", "description"}
    assert problem["err"] == err
    assert b"canary" not in response.body
    assert len(await parts.sessions()) == 1


@pytest.mark.parametrize("body", [b"", b"\xff", b"a.b", b"x" * 20_000])
async def test_a_body_that_is_no_token_is_refused(parts: WebParts, body: bytes) -> None:
    response = await deliver(parts, body)
    assert (response.status, json.loads(response.body)["err"]) == (400, "invalid_request")


async def test_there_is_no_endpoint_unless_events_are_pushed(tmp_path: Path) -> None:
    async with web_parts(tmp_path) as parts:
        assert (await deliver(parts, token(parts))).status == 404


async def test_while_the_keys_are_away_the_transmitter_is_asked_to_deliver_again(parts: WebParts) -> None:
    parts.transmitter.down = True
    assert (await deliver(parts, token(parts))).problem == (503, "provider_unavailable")


async def test_a_step_up_is_required_by_every_way_to_an_api_until_a_new_sign_in(parts: WebParts) -> None:
    browser = parts.browser()
    assert (await browser.sign_in()).status == 303
    event = {f"{CAEP}device-compliance-change": {"current_status": "not-compliant"}}
    compact = security_event_token(parts.clock(), event, sub_id=iss_sub("00u1"))
    assert (await deliver(parts, compact)).status == 202
    refused = await browser.fetch("GET", "/api/orders")
    assert refused.problem == (401, "step_up_required")
    assert json.loads(refused.body)["sign_in_url"] == "/auth/login?max_age=0&return_to="
    assert (await browser.session())["authenticated"]
    verified = await browser.navigate("/auth/verify/page")
    assert (verified.status, verified.one("x-sign-in-url")) == (401, "/auth/login?max_age=0&return_to=/page")
    parts.clock.now += 1
    assert (await browser.sign_in("?max_age=0")).status == 303
    assert (await browser.navigate("/auth/verify/page")).status == 200
