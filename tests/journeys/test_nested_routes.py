"""The whole application with a route inside a route: somebody signed in, a sister origin, a landing page."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from tests.harness.path_readers import SPELLINGS
from tests.harness.raw_http import HttpServer, send
from tests.harness.raw_upstream import ok, raw_upstream
from tests.harness.world import World, small_world

ADMIN = "https://admin.example.com"


@asynccontextmanager
async def nested(folder: Path, **inner: Any) -> AsyncIterator[tuple[World, HttpServer]]:
    async with raw_upstream(ok()) as upstream:
        routes = [
            {"prefix": "/api", "upstream": upstream.url},
            {"prefix": "/api/admin", "upstream": upstream.url, "methods": ["GET"], **inner},
        ]
        async with small_world(folder, routes=json.dumps(routes), allowed_origins=ADMIN) as world:
            yield world, upstream


async def raw(world: World, method: str, path: str, *fields: str) -> httpx.Response:
    """Byte for byte: a client of URLs would put some of these spellings right."""
    at = urlsplit(world.public_url)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {at.netloc}", *fields, "", ""]
    answer = await send(at.port or 80, "\r\n".join(lines))
    return httpx.Response(answer.status, headers=answer.fields, content=answer.body)


async def test_somebody_signed_in_gets_round_no_rule_by_a_spelling(tmp_path: Path) -> None:
    async with nested(tmp_path) as (world, upstream):
        browser = await world.signed_in()
        ours = ("Sec-Fetch-Site: same-origin", "X-CSRF: 1", f"Cookie: bff-session={browser.cookie('bff-session')}")
        for path in SPELLINGS:
            answer = await raw(world, "DELETE", path, *ours)
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), path
            preflight = ("Access-Control-Request-Method: DELETE", f"Origin: {ADMIN}")
            asked = await raw(world, "OPTIONS", path, *preflight)
            assert (asked.status_code, "access-control-allow-origin" in asked.headers) == (400, False), path
        assert upstream.requests == []
        assert (await raw(world, "DELETE", "/api/orders", *ours)).status_code == 200
        assert (await raw(world, "DELETE", "/api/admin/x", *ours)).status_code == 405


async def test_where_the_upstream_ignores_case_so_does_the_route(tmp_path: Path) -> None:
    async with nested(tmp_path, ignore_case=True) as (world, upstream):
        browser = await world.signed_in()
        for path in ("/api/Admin/x", "/API/ADMIN"):
            assert (await browser.fetch(path, "DELETE")).status_code == 405
            assert (await browser.fetch(path)).status_code == 200
            assert upstream.requests[-1].target == path
        assert len(upstream.requests) == 2


async def test_the_landing_page_leads_into_no_route_by_another_spelling(tmp_path: Path) -> None:
    async with nested(tmp_path) as (world, _):
        for path in ("/api//admin/x", "/api/%61dmin", "/api/admin;x"):
            page = await world.browser().navigate(f"/auth/landing?to={quote(path, safe='')}")
            assert (page.status_code, re.findall(r'url=([^"]*)"', page.text)) == (200, ["/"])


async def test_the_landing_page_leads_into_no_route_that_passes_cookies_on(tmp_path: Path) -> None:
    """From our own page it would come as `same-origin`, whoever began it, and pass the check of another site."""
    async with raw_upstream(ok()) as upstream:
        cookies = {"token": "none", "allow_cookies": ["legacy"], "csrf": "fetch-metadata"}
        routes = [{"prefix": "/old", "upstream": upstream.url, **cookies}]
        async with small_world(tmp_path, routes=json.dumps(routes)) as world:
            refused = await raw(world, "GET", "/old/x", "Sec-Fetch-Site: cross-site", "Cookie: legacy=1")
            page = await world.browser().navigate("/auth/landing?to=/old/x")
    assert (refused.status_code, upstream.requests) == (403, [])
    assert (page.status_code, re.findall(r'url=([^"]*)"', page.text)) == (200, ["/"])
