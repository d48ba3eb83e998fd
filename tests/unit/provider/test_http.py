"""One request on a real socket: what is refused, what is bounded, and what is known of a response that never came."""

import asyncio
import gzip
import socket
import ssl
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

from bff.oidc.token import NoAnswer
from bff.provider.http import HttpClient
from bff.provider.http1_client import Http1Client
from bff.provider.response import HttpResponse, Outcome
from tests.harness.certificates import Authority, server_context
from tests.harness.gzip_bomb import gzip_bomb
from tests.harness.provider_server import (
    WITHIN,
    Behaviour,
    ProviderServer,
    answer,
    endless,
    gated,
    head,
    late,
    provider_server,
    reset,
    stall,
)
from tests.harness.raw_http import Reader, Request, Writer
from tests.harness.waiting import loop_turns

LIMIT = 256 * 1024
GZIP = {"content-encoding": "gzip"}
BOMB = gzip_bomb(64)


Http = HttpClient | Http1Client


@pytest.fixture(params=[HttpClient, Http1Client])
def kind(request: pytest.FixtureRequest) -> type[Http]:
    """Both clients behave alike."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
async def http(kind: type[Http]) -> AsyncIterator[Http]:
    client = kind(connections=4)
    yield client
    await client.close()


async def post(http: Http, to: ProviderServer | str, *, within: float = WITHIN, **more: Any) -> Outcome:
    url = to if isinstance(to, str) else f"{to.issuer}/token"
    return await http.send("POST", url, within=within, limit=LIMIT, **{"form": {"a": "b c&d=é"}, **more})


@asynccontextmanager
async def tls_server(context: ssl.SSLContext) -> AsyncIterator[int]:
    """Its port; it answers one request per connection."""

    async def respond(reader: Reader, writer: Writer) -> None:
        with suppress(OSError, EOFError):  # the client refuses the certificate
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def response_to(http: Http, behaviour: Behaviour) -> HttpResponse:
    async with provider_server(token=behaviour) as provider:
        outcome = await post(http, provider)
    assert isinstance(outcome, HttpResponse)
    return outcome


def assert_not_sent(outcome: Outcome) -> None:
    assert isinstance(outcome, NoAnswer)
    assert not outcome.may_have_been_sent


async def test_a_form_is_sent_as_by_a_server_and_never_with_a_cookie_of_a_response(http: Http) -> None:
    async with provider_server(token=answer(200, b"{}", {"set-cookie": "DT=1; Path=/"})) as provider:
        for _ in range(2):
            outcome = await post(http, provider, headers={"x-own": "1"})
            assert isinstance(outcome, HttpResponse)
            assert (outcome.status, outcome.complete, outcome.body) == (200, True, b"{}")
    for request in provider.requests:
        assert request.form == {"a": "b c&d=é"}
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["user-agent"].startswith("okta-bff/")
        assert request.headers["x-own"] == "1"
        assert not request.headers.keys() & {"origin", "referer", "cookie"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_returned_and_not_followed(http: Http, status: int) -> None:
    async with provider_server() as other:
        location = {"location": f"{other.issuer}/token"}
        assert (await response_to(http, answer(status, b"", location))).status == status
    assert other.connections == 0


async def test_proxies_of_the_environment_are_ignored(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    async with provider_server() as proxy, provider_server() as provider:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.issuer)
        assert isinstance(await post(http, provider), HttpResponse)
    assert proxy.connections == 0


async def test_a_request_searches_for_no_package_that_is_missing(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore would search for sniffio several times per request, which took a tenth of a refresh's time."""
    missing: list[str] = []

    class Last(MetaPathFinder):
        def find_spec(self, name: str, *_: Any) -> None:
            missing.append(name)

    for name in [name for name, module in sys.modules.items() if module is None]:
        monkeypatch.delitem(sys.modules, name)  # a tool of the tests stops the search for these
    async with provider_server() as provider:
        await post(http, provider)
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Last()])
        assert isinstance(await post(http, provider), HttpResponse)
    assert missing == []


def test_a_ca_file_must_be_readable(kind: type[Http], tmp_path: Path) -> None:
    with pytest.raises(OSError):
        kind(ca_file=tmp_path / "missing.pem", connections=1)


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_certificate_is_verified_against_the_configured_authority(
    kind: type[Http], tmp_path: Path, trusted: bool
) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    async with tls_server(server_context(ours.issue("provider"))) as port:
        client = kind(ca_file=(ours if trusted else other).file, connections=1)
        outcome = await post(client, f"https://127.0.0.1:{port}/token")
        if trusted:
            assert isinstance(outcome, HttpResponse)
            elsewhere = await post(client, f"https://localhost:{port}/token")  # its certificate is for 127.0.0.1
            assert_not_sent(elsewhere)
        else:
            assert_not_sent(outcome)
        await client.close()


# --- size


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer(200, b"x" * 10_000_000), id="JK-006 10 MB"),
        pytest.param(answer(200, b"x" * (LIMIT + 1)), id="one byte too many"),
        pytest.param(answer(200, BOMB, GZIP), id="JK-006 gzip bomb"),
        pytest.param(endless, id="JK-006 never ends"),
        pytest.param(answer(200, b"x", GZIP), id="not gzip"),
        pytest.param(answer(200, gzip.compress(b"x" * 100)[:-4], GZIP), id="half a gzip"),
        pytest.param(answer(200, b"x", {"content-encoding": "br"}), id="an encoding that was not requested"),
        pytest.param(answer(200, b"x", {"content-encoding": "gzip, gzip"}), id="packed twice"),
        pytest.param(answer(200, b"x" * 10, {"content-length": "20"}, close=True), id="cut short"),
    ],
)
async def test_of_a_body_that_cannot_be_read_only_the_status_remains(http: Http, behaviour: Behaviour) -> None:
    response = await response_to(http, behaviour)
    assert (response.status, response.complete, response.body) == (200, False, b"")
    assert response.why


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"x" * LIMIT, {}),
        (gzip.compress(b"x" * LIMIT), GZIP),
        (gzip.compress(b"x" * LIMIT), {"content-encoding": " X-GZIP "}),
    ],
    ids=["plain", "gzip", "x-gzip"],
)
async def test_a_body_of_exactly_the_limit_is_read(http: Http, body: bytes, headers: dict[str, str]) -> None:
    assert (await response_to(http, answer(200, body, headers))).body == b"x" * LIMIT


@pytest.mark.case("AZ-063")
async def test_a_gzip_bomb_is_never_unpacked_in_memory(http: Http) -> None:
    tracemalloc.start()
    try:
        await response_to(http, answer(200, BOMB, GZIP))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20  # bytes; the bomb is 64 MB


# --- what may have been sent


@pytest.mark.case("RF-001")
async def test_a_closed_port_or_an_unknown_name_proves_that_nothing_was_sent(http: Http) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert_not_sent(await post(http, f"http://127.0.0.1:{unused.getsockname()[1]}/token"))
    assert_not_sent(await post(http, "http://nowhere.invalid/token"))


@pytest.mark.parametrize("answers", [True, False])
@pytest.mark.case("RF-001")
async def test_a_tls_handshake_that_fails_or_never_ends_proves_that_nothing_was_sent(
    http: Http, answers: bool, advance_clock: Callable[[float], None]
) -> None:
    hung_up = asyncio.Event()

    async def no_tls(reader: Reader, writer: Writer) -> None:
        await reader.readexactly(1)  # its handshake has begun
        if answers:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        else:
            advance_clock(WITHIN)
            await reader.read()
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    assert_not_sent(await post(http, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"))
    async with asyncio.timeout(WITHIN):
        await hung_up.wait()
    server.close()


async def test_a_proxy_that_refuses_the_tunnel_proves_that_nothing_was_sent() -> None:
    async with provider_server() as proxy:
        proxy.routes["provider.example:443"] = answer(502)
        client = HttpClient(proxy=proxy.issuer)
        assert_not_sent(await post(client, "https://provider.example/token"))
        await client.close()
        assert proxy.requests[0].method == "CONNECT"


@pytest.mark.parametrize("behaviour", [pytest.param(stall, id="RF-004 stall"), pytest.param(reset, id="RF-002 reset")])
async def test_no_response_after_the_request_left_is_an_unknown_outcome(
    http: Http, behaviour: Behaviour, advance_clock: Callable[[float], None]
) -> None:
    token = late(stall, advance_clock) if behaviour is stall else reset
    async with provider_server(token=token) as provider:
        outcome = await post(http, provider, form={"secret": "hush"}, headers={"a": "hush"})
        assert isinstance(outcome, NoAnswer)
        assert outcome.may_have_been_sent
        assert provider.count("/token") == 1
        assert outcome.why
        assert not {"hush", "127.0.0.1"} & set(outcome.why.split())


async def test_a_status_is_kept_when_its_body_does_not_arrive_in_time(
    http: Http, advance_clock: Callable[[float], None]
) -> None:
    async def head_only(_: Request, writer: Writer) -> None:
        writer.write(head(429, {"content-length": "20", "retry-after": "7"}))
        await loop_turns(50)
        advance_clock(WITHIN)
        await writer.wait_closed()

    response = await response_to(http, head_only)
    assert (response.status, response.headers["retry-after"], response.complete) == (429, "7", False)


async def test_a_body_that_drips_does_not_extend_the_deadline(
    http: Http, advance_clock: Callable[[float], None]
) -> None:
    dripped = 0

    async def drip(_: Request, writer: Writer) -> None:
        nonlocal dripped
        writer.write(head(200, {"content-length": "100000"}))
        while not writer.is_closing() and dripped < 50:
            writer.write(b"x")
            await writer.drain()
            await loop_turns(50)
            dripped += 1
            advance_clock(WITHIN / 10)

    assert not (await response_to(http, drip)).complete
    assert dripped < 20


async def test_nothing_is_sent_when_it_may_not_be_sent_any_more(http: Http) -> None:
    async with provider_server() as provider:
        assert_not_sent(await post(http, provider, may_send=lambda: False))
        assert provider.connections == 1  # it was asked after connecting, as the bytes were about to leave
        assert provider.requests == []
        assert isinstance(await post(http, provider), HttpResponse)


async def test_waiting_for_a_connection_proves_that_nothing_was_sent(
    kind: type[Http], advance_clock: Callable[[float], None]
) -> None:
    client = kind(connections=1)
    token, _ = gated(answer(200))
    async with provider_server(token=token) as provider:
        first = asyncio.create_task(post(client, provider, within=10 * WITHIN))
        await provider.arrived.wait()
        second = asyncio.create_task(post(client, provider))
        await loop_turns(50)
        advance_clock(WITHIN)
        assert_not_sent(await second)
        assert not first.done()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
    await client.close()
