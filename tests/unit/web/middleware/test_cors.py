"""CORS through the whole application: none by default, and with credentials for exactly the origins that are listed."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.upstream_wire import Answer, ask
from tests.harness.world import World, small_world

ADMIN = "https://admin.example.com"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with small_world(tmp_path, allowed_origins=ADMIN) as world:
        yield world


async def send(world: World, method: str, path: str, *fields: str) -> Answer:
    parts = urlsplit(world.public_url)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {parts.netloc}", *fields]
    return await ask(parts.port or 80, "\r\n".join(lines) + "\r\n\r\n", to_head=method == "HEAD")


def preflight(method: str = "GET", headers: str | None = "x-csrf, content-type", origin: str = ADMIN) -> list[str]:
    fields = [f"Origin: {origin}", f"Access-Control-Request-Method: {method}", "Sec-Fetch-Mode: cors"]
    return fields + ([f"Access-Control-Request-Headers: {headers}"] if headers else [])


def grants(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.fields if name.startswith("access-control-")}


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/x", "GET, HEAD, POST, PUT, PATCH, DELETE"),
        ("/auth/session", "GET, HEAD, POST, DELETE"),
        ("/auth/session/extend", "GET, HEAD, POST, DELETE"),
        ("/auth/logout", "GET, HEAD, POST, DELETE"),
    ],
)
async def test_a_preflight_of_a_listed_origin_is_answered_here_and_reaches_nobody(
    world: World, path: str, methods: str
) -> None:
    answer = await send(world, "OPTIONS", path, *preflight("DELETE"))
    assert (answer.status, answer.body) == (204, b"")
    assert grants(answer) == {
        "access-control-allow-origin": ADMIN,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": methods,
        "access-control-allow-headers": "x-csrf, content-type",
        "access-control-max-age": "600",
    }
    assert "origin" in (answer.one("vary") or "")
    assert world.upstream.heard == []


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "null",
        "https://admin.example.com.evil.test",
        "https://ADMIN.example.com",
        "http://admin.example.com",
        "https://admin.example.com:444",
    ],
)
@pytest.mark.parametrize("path", ["/api/x", "/auth/session", "/auth/logout"])
async def test_a_preflight_of_anybody_else_is_granted_nothing(world: World, path: str, origin: str) -> None:
    answer = await send(world, "OPTIONS", path, *preflight(origin=origin))
    assert answer.status == 405
    assert grants(answer) == {}
    assert answer.one("vary") == "origin"
    assert world.upstream.heard == []


@pytest.mark.parametrize("path", ["/auth/login", "/authorization-code/callback", "/elsewhere", "/auth"])
async def test_what_no_script_calls_is_open_to_no_origin(world: World, path: str) -> None:
    assert grants(await send(world, "OPTIONS", path, *preflight())) == {}
    assert grants(await send(world, "GET", path, f"Origin: {ADMIN}")) == {}


async def test_two_origins_are_none(world: World) -> None:
    answer = await send(world, "OPTIONS", "/api/x", *preflight(), "Origin: https://evil.test")
    assert (answer.status, grants(answer)) == (405, {})


@pytest.mark.parametrize("headers", ["x-csrf\x7f", "a" * 1025, "x;y", "x\u00e9"])
async def test_requested_headers_that_are_no_names_are_not_echoed(world: World, headers: str) -> None:
    answer = await send(world, "OPTIONS", "/api/x", *preflight(headers=headers))
    assert "access-control-allow-headers" not in grants(answer)


async def test_an_answer_to_a_listed_origin_may_be_read_by_it_and_nobody_elses_may(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    cookie = f"Cookie: bff-session={browser.cookie('bff-session')}"
    same_site = ["Sec-Fetch-Site: same-site", "X-CSRF: 1", cookie]
    allowed = await send(world, "GET", "/api/x", f"Origin: {ADMIN}", *same_site)
    assert allowed.status == 200
    assert allowed.one("access-control-allow-origin") == ADMIN
    assert allowed.one("access-control-allow-credentials") == "true"
    assert "retry-after" in (allowed.one("access-control-expose-headers") or "")
    assert allowed.one("vary") == "origin"
    session = await send(world, "GET", "/auth/session", f"Origin: {ADMIN}", *same_site)
    assert (session.status, session.one("access-control-allow-origin")) == (200, ADMIN)
    evil = await send(world, "GET", "/api/x", "Origin: https://evil.test", *same_site)
    assert (evil.status, json.loads(evil.body)["code"], grants(evil)) == (403, "csrf_required", {})
    own = await send(world, "GET", "/api/x", "Sec-Fetch-Site: same-origin", "X-CSRF: 1", cookie)
    assert (own.status, grants(own), own.one("vary")) == (200, {}, "origin")
    # An error may be read as well, or the SPA could not tell a sign-out from a network failure.
    signed_out = await send(world, "GET", "/api/x", f"Origin: {ADMIN}", *same_site[:2])
    assert (signed_out.status, signed_out.one("access-control-allow-origin")) == (401, ADMIN)


async def test_a_listed_origin_may_sign_out(world: World) -> None:
    browser = world.browser()
    await browser.sign_in()
    cookie = f"Cookie: bff-session={browser.cookie('bff-session')}"
    answer = await send(
        world, "POST", "/auth/logout", f"Origin: {ADMIN}", "Sec-Fetch-Site: same-site", "X-CSRF: 1", cookie
    )
    assert (answer.status, answer.one("access-control-allow-origin")) == (200, ADMIN)
    assert (await browser.session())["authenticated"] is False


async def test_without_listed_origins_there_is_no_cors_at_all(tmp_path: Path) -> None:
    async with small_world(tmp_path) as world:
        world.upstream.fields = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true")]
        for method, path in (("OPTIONS", "/api/x"), ("OPTIONS", "/auth/session"), ("GET", "/auth/session")):
            answer = await send(world, method, path, *preflight())
            assert (grants(answer), answer.one("vary")) == ({}, None)
        browser = world.browser()
        await browser.sign_in()
        answer = (await browser.fetch("/api/x")).headers
        assert not [name for name in answer if name.startswith("access-control-")]
