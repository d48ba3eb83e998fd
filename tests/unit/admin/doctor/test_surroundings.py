"""Upstreams behind and the proxy in front, on real sockets; and what the settings say of both."""

import asyncio
import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from bff.admin.doctor import network
from bff.admin.doctor import settings as settings_checks
from bff.admin.doctor.check_result import CheckResult
from bff.app import build_app
from bff.base64url import encode_base64url
from bff.config.settings import Settings, load_settings
from bff.session.keyring import new_key
from tests.harness.certificates import Authority, server_context
from tests.harness.settings import KEY, OLD_KEY, with_changes
from tests.harness.world import listening, serving


def settings(**changes: str | None) -> Settings:
    return load_settings(with_changes(**changes))


def routes(*told: dict[str, object]) -> str:
    return json.dumps([{"prefix": f"/api{number}", **route} for number, route in enumerate(told)])


# --- upstreams


async def test_an_upstream_is_connected_to_and_told_nothing() -> None:
    heard: list[bytes] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            heard.append(await reader.read())
        except ConnectionResetError:
            heard.append(b"")
        writer.close()
        done.set()

    done = asyncio.Event()
    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        (found,) = await network.upstreams(settings(routes=routes({"upstream": f"http://127.0.0.1:{port}/v1"})))
        await done.wait()
    assert (found.name, found.status) == ("upstream /api0", "ok")
    assert heard == [b""]


async def test_an_upstream_that_is_away_is_named_and_the_others_are_asked() -> None:
    with listening() as bound, listening() as gone:
        bound.listen()
        up, away = bound.getsockname()[1], gone.getsockname()[1]
        told = routes({"upstream": f"http://127.0.0.1:{away}"}, {"upstream": f"http://127.0.0.1:{up}"})
        found = {one.name: one for one in await network.upstreams(settings(routes=told))}
    assert (found["upstream /api0"].status, found["upstream /api1"].status) == ("fail", "ok")
    assert "does not accept connections" in found["upstream /api0"].observed


async def tls_upstream(folder: Path, ca: Authority | None, *, plain: bool = False) -> CheckResult:
    authority = Authority(folder, "internal")
    context = None if plain else server_context(authority.issue("api"))

    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trust = {} if ca is None else {"ca_file": str(ca.file)}
        told = routes({"upstream": f"https://127.0.0.1:{port}", **trust})
        (found,) = await network.upstreams(settings(routes=told))
    return found


async def test_an_upstream_of_an_internal_authority_needs_its_ca_file(tmp_path: Path) -> None:
    found = await tls_upstream(tmp_path, None)
    assert found.status == "fail"
    assert "is not trusted here" in found.observed
    assert "ca_file" in found.fix


async def test_an_upstream_with_its_ca_file_is_well(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "internal")

    async def nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=server_context(authority.issue("api")))
    async with server:
        port = server.sockets[0].getsockname()[1]
        told = routes({"upstream": f"https://127.0.0.1:{port}", "ca_file": str(authority.file)})
        (found,) = await network.upstreams(settings(routes=told))
    assert found.status == "ok"


async def test_an_upstream_that_speaks_no_tls_is_told_from_one_that_is_away(tmp_path: Path) -> None:
    found = await tls_upstream(tmp_path, None, plain=True)
    assert found.status == "fail"
    assert "TLS" in found.observed or "does not accept connections" in found.observed


async def test_no_routes_are_worth_a_word() -> None:
    (found,) = await network.upstreams(settings())
    assert (found.name, found.status) == ("upstreams", "warn")


# --- the proxy in front


async def test_a_bff_behind_the_public_url_is_recognised(tmp_path: Path) -> None:
    with listening() as bound:
        told = settings(
            public_url=f"http://localhost:{bound.getsockname()[1]}", store=f"sqlite:///{tmp_path / 'bff.db'}"
        )
        async with serving(build_app(told), bound, lifespan="on"):
            found = await network.public_url(told)
    assert found.status == "ok"


async def spa_for_every_path(_: object) -> PlainTextResponse:
    return PlainTextResponse("<!doctype html>")


async def cached(_: object) -> JSONResponse:
    return JSONResponse({"authenticated": False, "reason": None}, headers={"cache-control": "public, max-age=60"})


@pytest.mark.parametrize(
    ("answer", "word"), [(spa_for_every_path, "this BFF did not send"), (cached, "Cache-Control")], ids=["spa", "cache"]
)
async def test_somebody_else_behind_the_public_url_is_named(answer: object, word: str) -> None:
    app = Starlette(routes=[Route("/{path:path}", answer)])  # type: ignore[arg-type]
    with listening() as bound:
        told = settings(public_url=f"http://localhost:{bound.getsockname()[1]}")
        async with serving(app, bound):
            found = await network.public_url(told)
    assert found.status == "fail"
    assert word in found.observed


async def test_a_public_url_that_does_not_answer_is_no_failure() -> None:
    with listening() as bound:
        found = await network.public_url(settings(public_url=f"http://localhost:{bound.getsockname()[1]}"))
    assert found.status == "skipped"
    assert found.fix


@pytest.mark.parametrize(
    ("changes", "status", "word"),
    [
        ({"trusted_proxies": None}, "warn", "127.0.0.1 ::1"),
        ({"listen": "0.0.0.0:8080"}, "warn", "10.0.0.0/8"),
        ({"listen": "unix:/run/bff.sock"}, "warn", "unix"),
        ({"trusted_proxies": "0.0.0.0/0"}, "warn", "any client"),
        ({"trusted_proxies": "10.0.0.0/8"}, "ok", ""),
        ({"public_url": "http://localhost:8080"}, "ok", ""),
    ],
)
def test_who_is_trusted_in_front_of_us(changes: dict[str, str | None], status: str, word: str) -> None:
    found = settings_checks.trusted_proxies(settings(**changes))
    assert (found.status, word in found.fix) == (status, True), found


# --- keys and cookies


def test_the_key_ring_is_counted_and_never_shown() -> None:
    found = settings_checks.key_ring(settings(session_keys=f"{KEY} {OLD_KEY}"))
    assert found.status == "ok"
    assert found.observed.startswith("2 in the ring, newest ")
    assert KEY not in found.observed
    assert OLD_KEY not in found.observed


def test_many_keys_are_worth_a_word() -> None:
    keys = " ".join(encode_base64url(new_key()) for _ in range(5))
    assert settings_checks.key_ring(settings(session_keys=keys)).status == "warn"


def test_our_cookies_fit_into_a_browser_and_into_a_proxys_header_line() -> None:
    found = settings_checks.cookies(settings())
    assert found.status == "ok"
    assert "8192 per header line" in found.observed


def test_no_address_makes_our_cookies_larger() -> None:
    usual, longest = (settings_checks.cookies(settings(**each)) for each in ({}, {"callback_path": "/" + "a" * 1800}))
    assert usual == longest
