"""TLS to an upstream: whom we trust and what we show, route by route, for requests and WebSockets alike."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Origin

from bff.config.routes import Route
from bff.config.settings import load_settings
from bff.proxy.open_routes import route_table
from tests.harness.certificates import Authority, Issued, server_context
from tests.harness.proxy_server import PUBLIC, running_proxy
from tests.harness.raw_http import fetch
from tests.harness.settings import with_changes
from tests.harness.waiting import PATIENCE


@asynccontextmanager
async def tls_upstream(context: ssl.SSLContext) -> AsyncIterator[tuple[str, list[str]]]:
    """Answers every request and echoes on every WebSocket; its URL, and the client certificates it saw, by name."""
    shown: list[str] = []

    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    def note(connection: ServerConnection, request: object) -> object:
        certificate = connection.transport.get_extra_info("peercert") or {}
        shown.append(str(dict(pair[0] for pair in certificate.get("subject", ())).get("commonName")))
        headers = connection.request.headers if connection.request else {}
        return None if "Upgrade" in headers else connection.respond(200, "ok")

    async with serve(echo, "127.0.0.1", 0, ssl=context, process_request=note) as server:  # type: ignore[arg-type]
        yield f"https://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", shown


def route(url: str, prefix: str = "/api", **files: Path) -> dict[str, object]:
    named = {name: str(path) for name, path in files.items()}
    return {"prefix": prefix, "upstream": url, "websocket": True, "connect_timeout": PATIENCE, **named}


def routes(*said: dict[str, object]) -> tuple[Route, ...]:
    """As the application reads them."""
    return route_table(load_settings(with_changes(routes=json.dumps(said)))).routes


async def echoed(port: int, path: str = "/api/x") -> str | bytes:
    url, cookies = f"ws://127.0.0.1:{port}{path}", {"Cookie": "user=alice"}
    async with connect(
        url, origin=Origin(PUBLIC), additional_headers=cookies, proxy=None, open_timeout=PATIENCE
    ) as connection:
        await connection.send("hello")
        return await asyncio.wait_for(connection.recv(), PATIENCE)


async def test_an_upstream_is_trusted_by_its_routes_own_authority_and_no_other(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    async with tls_upstream(server_context(ours.issue("server"))) as (url, _):
        table = routes(
            route(url, "/ours", ca_file=ours.file), route(url, "/theirs", ca_file=theirs.file), route(url, "/system")
        )
        async with running_proxy(*table) as port:
            assert (await fetch(port, "/ours/x")).status == 200
            assert await echoed(port, "/ours/x") == "hello"
            for path in ("/theirs/x", "/system/x"):
                answer = await fetch(port, path)
                assert (answer.status, json.loads(answer.body)["code"]) == (502, "upstream_unreachable")
                with pytest.raises(Exception, match="HTTP 502"):
                    await echoed(port, path)


@pytest.mark.case("PX-080")
async def test_a_name_that_leads_elsewhere_is_refused_by_its_certificate(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    async with tls_upstream(server_context(ours.issue("server"))) as (url, _):
        elsewhere = url.replace("127.0.0.1", "localhost")
        async with running_proxy(*routes(route(elsewhere, ca_file=ours.file))) as port:
            assert (await fetch(port, "/api/x")).status == 502


async def test_each_route_shows_its_own_certificate_and_shares_no_connection(tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")

    def shows(issued: Issued) -> dict[str, Path]:
        return {"ca_file": ours.file, "client_cert_file": issued.cert, "client_key_file": issued.key}

    context = server_context(ours.issue("server"), clients_of=ours)
    async with tls_upstream(context) as (url, shown):
        table = routes(
            route(url, "/a", **shows(ours.issue("orders"))),
            route(url, "/b", **shows(ours.issue("reports"))),
            route(url, "/c", ca_file=ours.file),
        )
        async with running_proxy(*table) as port:
            for path in ("/a/x", "/b/x", "/a/x"):
                assert (await fetch(port, path)).status == 200
            assert await echoed(port, "/b/x") == "hello"
            assert (await fetch(port, "/c/x")).status == 502
    assert shown == ["orders", "reports", "orders", "reports"]
