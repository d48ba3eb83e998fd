"""Our own endpoints answer to the methods they have, at the one address they have, whoever serves the SPA."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.harness.upstream_wire import Answer, ask
from tests.harness.world import World, small_world

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ENDPOINTS = {
    "/authorization-code/callback": ("GET",),
    "/auth/login": ("GET", "POST"),
    "/auth/landing": ("GET",),
    "/auth/session": ("GET", "HEAD"),
    "/auth/session/extend": ("POST",),
    "/auth/sessions": ("GET",),
    "/auth/sessions/end": ("POST",),
    "/auth/logout": ("POST",),
    "/auth/backchannel-logout": ("POST",),
    "/auth/frontchannel-logout": ("GET", "HEAD", "POST"),
    "/auth/global-token-revocation": ("POST",),
}


@pytest.fixture(params=["with-spa", "without-spa"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    spa: dict[str, str] = {}
    if request.param == "with-spa":
        (tmp_path / "spa").mkdir()
        (tmp_path / "spa" / "index.html").write_text("<title>SPA-INDEX</title>")
        spa = {"spa_dir": str(tmp_path / "spa")}
    async with small_world(tmp_path, **spa) as world:
        yield world


async def send(world: World, method: str, path: str, *, host: str | None = None) -> Answer:
    """As a navigation, which is what a single-page app's catch-all answers most readily."""
    at = urlsplit(world.public_url)
    fields = (
        f"Host: {host or at.netloc}\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nAccept: text/html\r\n"
    )
    return await ask(at.port or 80, f"{method} {path} HTTP/1.1\r\n{fields}\r\n", to_head=method == "HEAD")


async def test_a_method_that_an_endpoint_does_not_have_is_405_with_those_it_has(world: World) -> None:
    for path, methods in ENDPOINTS.items():
        for method in METHODS:
            answer = await send(world, method, path)
            if method in methods:
                assert answer.status not in (404, 405), (method, path)
            else:
                assert (answer.status, answer.one("allow")) == (405, ", ".join(methods)), (method, path)
            assert b"SPA-INDEX" not in answer.body


async def test_the_callback_takes_a_form_where_the_provider_sends_one(tmp_path: Path) -> None:
    async with small_world(tmp_path, response_mode="form_post") as world:
        answer = await send(world, "HEAD", "/authorization-code/callback")
    assert (answer.status, answer.one("allow")) == (405, "GET, POST")


@pytest.mark.parametrize(
    "path", ["/auth", "/auth/", "/auth/nothing", "/auth/login/", "/auth//login", "/auth/sessions/7"]
)
async def test_there_is_nothing_beside_an_endpoint_and_no_redirect_to_it(world: World, path: str) -> None:
    """A redirect that adds or takes a slash would lead to whatever Host the client sent."""
    for method in METHODS:
        answer = await send(world, method, path, host="evil.test")
        assert (answer.status, answer.one("location")) == (404, None), method


async def test_a_script_is_told_in_problem_json(world: World) -> None:
    at = urlsplit(world.public_url)
    answer = await ask(at.port or 80, f"PUT /auth/login HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n")
    assert (answer.status, json.loads(answer.body)["code"]) == (405, "method_not_allowed")
