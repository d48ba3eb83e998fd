"""The dependencies of a host's routes: the user, what they must be, and who may send the request."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from starlette.requests import HTTPConnection

from bff.errors import ConfigurationError
from bff.fastapi.dependencies import csrf_protected, current_user, optional_user, requests_of, require
from bff.fastapi.user import User, user_of
from tests.harness.asgi_call import call, run, websocket_scope
from tests.harness.example_session import a_session
from tests.harness.hosted import Hosted, host_settings, hosted
from tests.harness.web_parts import FORM, PUBLIC_URL


def an_app() -> FastAPI:
    app, router = FastAPI(), APIRouter(prefix="/inner")

    @app.get("/maybe")
    async def maybe(user: Annotated[User | None, Depends(optional_user)]) -> dict[str, Any]:
        return {"sub": user and user.sub}

    @router.get("/admins")
    async def admins(user: Annotated[User, Depends(require("groups", any_of=["admins", "staff"]))]) -> dict[str, Any]:
        return {"groups": user.claims["groups"]}

    @app.get("/recent")
    async def recent(user: Annotated[User, Depends(require(max_auth_age=60))]) -> dict[str, Any]:
        return {"auth_time": user.auth_time}

    @app.post("/orders")
    async def order() -> dict[str, Any]:
        return {"ordered": True}

    @app.post("/webhooks/paid")
    async def paid() -> dict[str, Any]:
        return {"paid": True}

    @app.get("/changes", dependencies=[Depends(csrf_protected)])
    async def changes() -> dict[str, Any]:
        return {"changed": True}

    @app.websocket("/live")
    async def live(websocket: WebSocket, user: Annotated[User, Depends(current_user)]) -> None:
        await websocket.accept()

    app.include_router(router)
    return app


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Hosted]:
    settings = host_settings(tmp_path, user_claims="sub email groups")
    async with hosted(an_app(), settings, csrf_exempt=("/webhooks/",)) as parts:
        yield parts


async def test_a_guest_is_none_and_an_ambiguous_request_is_no_guest(parts: Hosted) -> None:
    assert json.loads((await parts.browser().fetch("GET", "/maybe")).body) == {"sub": None}
    browser = await parts.signed_in()
    assert json.loads((await browser.fetch("GET", "/maybe")).body) == {"sub": "00u1"}
    twice = f"{browser.cookies['__Host-Http-session']}"
    doubled = f"cookie: __Host-Http-session={twice}; __Host-Http-session={twice}"
    assert (await call(parts.public, "GET", "/maybe", doubled)).problem == (400, "invalid_request")


async def test_a_required_claim_is_compared_as_in_the_rules_of_a_route(parts: Hosted) -> None:
    browser = await parts.signed_in()
    refused = await browser.fetch("GET", "/inner/admins")
    assert refused.problem == (403, "forbidden_by_rule")
    assert "sign_in_url" not in json.loads(refused.body)
    parts.provider.claims["groups"] = ["readers", "staff"]
    allowed = await (await parts.signed_in()).fetch("GET", "/inner/admins")
    assert json.loads(allowed.body) == {"groups": ["readers", "staff"]}
    assert (await parts.browser().fetch("GET", "/inner/admins")).problem == (401, "sign_in_required")


async def test_a_sign_in_that_is_too_old_leads_to_a_new_one(parts: Hosted) -> None:
    browser = await parts.signed_in()
    assert (await browser.fetch("GET", "/recent")).status == 200
    parts.clock.now += 61
    refused = await browser.fetch("GET", "/recent")
    assert refused.problem == (403, "forbidden_by_rule")
    assert json.loads(refused.body)["sign_in_url"] == "/auth/login?max_age=60&return_to="


@pytest.mark.parametrize(
    ("method", "path", "lines", "status"),
    [
        ("POST", "/orders", (), 403),
        ("POST", "/orders", ("x-csrf: 1",), 200),
        ("POST", "/orders", ("x-csrf: 1", "sec-fetch-site: cross-site"), 403),
        ("POST", "/orders", ("x-csrf: 1", "origin: https://evil.example"), 403),
        # A form needs no header; the browser says where it comes from.
        ("POST", "/orders", (FORM, "sec-fetch-mode: navigate", "sec-fetch-site: cross-site", "origin: null"), 403),
        ("POST", "/orders", (FORM, "sec-fetch-mode: navigate", "sec-fetch-site: same-origin"), 403),
        (
            "POST",
            "/orders",
            (FORM, "sec-fetch-mode: navigate", "sec-fetch-site: same-origin", f"origin: {PUBLIC_URL}"),
            200,
        ),
        ("DELETE", "/unknown", (), 403),
        ("POST", "/webhooks/paid", (), 200),
        ("POST", "/webhooksx", (), 403),
        ("GET", "/maybe", (), 200),
        ("GET", "/changes", (), 403),
        ("GET", "/changes", ("x-csrf: 1",), 200),
    ],
)
async def test_unsafe_requests_come_from_pages_of_the_application(
    parts: Hosted, method: str, path: str, lines: tuple[str, ...], status: int
) -> None:
    response = await call(parts.public, method, path, *lines)
    assert response.status == status
    if status == 403:
        assert b"csrf_required" in response.body


async def test_a_websocket_of_the_host_needs_an_origin_of_ours_and_a_user(parts: Hosted) -> None:
    browser = await parts.signed_in()
    cookie = f"cookie: __Host-Http-session={browser.cookies['__Host-Http-session']}"
    ours = f"origin: {PUBLIC_URL}"
    assert (await run(parts.public, websocket_scope("/live", cookie, ours))).status == 101
    assert (await run(parts.public, websocket_scope("/live", cookie))).problem == (403, "csrf_required")
    assert (await run(parts.public, websocket_scope("/live", ours))).problem == (401, "sign_in_required")


def test_a_rule_without_a_condition_is_refused() -> None:
    strings = {"claim": "groups", "any_of": "admins"}, {"acr": "phr"}
    for arguments in ({}, {"claim": "groups"}, {"any_of": ["a"]}, *strings):
        with pytest.raises(ValueError, match=r"name a claim|without a condition|lists of values"):
            require(**arguments)  # type: ignore[arg-type]
    assert require("groups", any_of=["a"]) == require("groups", any_of=["a"]), "for dependency_overrides"


def test_an_application_without_a_bff_says_so() -> None:
    with pytest.raises(ConfigurationError, match="is not installed"):
        requests_of(HTTPConnection({"type": "http", "headers": []}))


def test_a_user_has_the_claims_that_the_provider_still_states() -> None:
    session = a_session()
    claims = {"sub": session.user.sub, "email": "ann@example.com", "name": 7, "groups": ["admins"]}
    session = replace(session, user=replace(session.user, claims=claims), withdrawn_claims=["groups"])
    user = user_of(session)
    assert dict(user.claims) == {"sub": session.user.sub, "email": "ann@example.com", "name": 7}
    assert (user.email, user.name, user.session_id) == ("ann@example.com", None, session.public_id)
    assert session.tokens.access_token not in repr(user)
