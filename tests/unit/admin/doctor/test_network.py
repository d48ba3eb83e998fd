"""Upstreams behind the BFF and the proxy in front of it, on real sockets."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bff.admin.doctor import network
from bff.admin.doctor.check_result import CheckResult
from bff.config.settings import load_settings
from tests.harness.certificates import Authority, server_context
from tests.harness.provider_server import Behaviour, answer_json, provider_server, reset
from tests.harness.provider_server import answer as answering
from tests.harness.settings import with_changes

SESSION = {"authenticated": False, "reason": None}


async def checked_upstreams(*routes: dict[str, object]) -> list[CheckResult]:
    configured = [{"prefix": f"/api{number}", **route} for number, route in enumerate(routes)]
    return await network.upstreams(load_settings(with_changes(routes=json.dumps(configured))))


@asynccontextmanager
async def listener(heard: asyncio.Queue[bytes], tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A port on which everything that is sent is put into `heard`."""

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.put_nowait(await reader.read())
        except ConnectionResetError:
            heard.put_nowait(b"")
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def unused_port() -> int:
    async with listener(asyncio.Queue()) as port:
        return port


async def test_an_upstream_is_connected_to_and_sent_nothing() -> None:
    heard = asyncio.Queue[bytes]()
    async with listener(heard) as port:
        (result,) = await checked_upstreams({"upstream": f"http://127.0.0.1:{port}/v1"})
        assert await heard.get() == b""
    assert (result.name, result.status) == ("upstream /api0", "ok")


async def test_an_upstream_that_is_away_is_named_and_the_others_are_checked() -> None:
    away = await unused_port()
    async with listener(asyncio.Queue()) as port:
        first, second = await checked_upstreams(
            {"upstream": f"http://127.0.0.1:{away}"}, {"upstream": f"http://127.0.0.1:{port}"}
        )
    assert (first.status, second.status) == ("fail", "ok")
    assert "does not accept connections" in first.observed


@pytest.mark.parametrize(
    ("trusted", "status", "observed", "fix"),
    [(True, "ok", "accepts connections", ""), (False, "fail", "is not trusted here", "ca_file")],
)
async def test_an_upstream_with_an_internal_ca_needs_its_ca_file(
    tmp_path: Path, trusted: bool, status: str, observed: str, fix: str
) -> None:
    authority = Authority(tmp_path, "internal")
    async with listener(asyncio.Queue(), server_context(authority.issue("api"))) as port:
        trust = {"ca_file": str(authority.file)} if trusted else {}
        (result,) = await checked_upstreams({"upstream": f"https://127.0.0.1:{port}", **trust})
    assert result.status == status
    assert observed in result.observed
    assert fix in result.fix


async def test_an_upstream_without_tls_fails_the_handshake() -> None:
    async def speak_first(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 not TLS\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak_first, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (result,) = await checked_upstreams({"upstream": f"https://127.0.0.1:{port}"})
    assert (result.status, "TLS handshake" in result.observed) == ("fail", True)


async def test_no_routes_are_a_warning() -> None:
    (result,) = await checked_upstreams()
    assert (result.name, result.status) == ("upstreams", "warn")


@pytest.mark.parametrize(
    ("behaviour", "status", "observed"),
    [
        (answer_json(SESSION, headers={"cache-control": "no-store"}), "ok", "the BFF answers"),
        (answering(200, b"<!doctype html>"), "fail", "this BFF did not send"),
        (answer_json(SESSION, 404), "fail", "this BFF did not send"),
        (answer_json([]), "fail", "this BFF did not send"),
        (answer_json(SESSION, headers={"cache-control": "public, max-age=60"}), "fail", "Cache-Control"),
        (reset, "skipped", "does not answer from here"),
    ],
)
async def test_who_answers_at_the_public_url(behaviour: Behaviour, status: str, observed: str) -> None:
    async with provider_server() as proxy:
        proxy.routes["/auth/session"] = behaviour
        result = await network.public_url(load_settings(with_changes(public_url=proxy.issuer)))
    assert (result.status, observed in result.observed) == (status, True)
    assert bool(result.fix) is (status != "ok")
