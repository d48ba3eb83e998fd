"""One exchange on a real socket: what is refused, what is bounded, and what we know of an answer that never came."""

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bff.oidc.token import NoAnswer
from bff.provider.http import HttpClient, HttpResponse, Outcome
from tests.harness.provider_wire import WITHIN, Behaviour, Request, Wire, answer, head, reset, some_turns, stall, wire

LIMIT = 256 * 1024


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    exchange = HttpClient()
    yield exchange
    await exchange.close()


async def post(http: HttpClient, provider: Wire, *, within: float = WITHIN, **more: object) -> Outcome:
    return await http.send(
        "POST",
        f"{provider.issuer}/token",
        within=within,
        limit=LIMIT,
        form={"a": "b"},
        **more,  # type: ignore[arg-type]
    )


async def test_a_form_goes_out_as_a_server_sends_it_and_the_answer_comes_back(http: HttpClient) -> None:
    async with wire() as provider:
        outcome = await http.send(
            "POST",
            f"{provider.issuer}/token",
            within=WITHIN,
            limit=LIMIT,
            form={"a": "b c&d=é"},
            headers={"x-own": "1"},
        )
        assert isinstance(outcome, HttpResponse)
        assert (outcome.status, outcome.complete) == (200, True)
        request = provider.requests[0]
        assert request.form == {"a": "b c&d=é"}
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["user-agent"].startswith("okta-bff/")
        assert request.headers["x-own"] == "1"
        assert not request.headers.keys() & {"origin", "referer", "cookie"}


async def test_cookies_of_an_answer_are_not_brought_back(http: HttpClient) -> None:
    async with wire(token=answer(200, b"{}", {"set-cookie": "DT=1; Path=/"})) as provider:
        for _ in range(2):
            await post(http, provider)
        assert [request.headers.get("cookie") for request in provider.requests] == [None, None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_returned_and_not_followed(http: HttpClient, status: int) -> None:
    async with wire() as other, wire(token=answer(status, b"", {"location": f"{other.issuer}/token"})) as provider:
        outcome = await post(http, provider)
        assert isinstance(outcome, HttpResponse)
        assert outcome.status == status
        assert other.connections == 0


async def test_the_environment_has_no_say(http: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with wire() as proxy, wire() as provider:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.issuer)
        exchange = HttpClient()
        assert isinstance(await post(exchange, provider), HttpResponse)
        assert proxy.connections == 0
        await exchange.close()


async def test_a_configured_proxy_is_used(http: HttpClient) -> None:
    async with wire() as proxy:
        proxy.routes["http://provider.example/token"] = answer(200, b"{}")
        exchange = HttpClient(proxy=proxy.issuer)
        outcome = await exchange.send("GET", "http://provider.example/token", within=WITHIN, limit=LIMIT)
        assert isinstance(outcome, HttpResponse)
        await exchange.close()


# --- size


def chunked(piece: bytes) -> Behaviour:
    """A body that never ends."""

    async def send(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, {"transfer-encoding": "chunked"}))
        while True:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()

    return send


BOMB = gzip.compress(b"\0" * (64 << 20), 9)  # 64 kB that unpack to 64 MB


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer(200, b"x" * 10_000_000), id="JK-006 10 MB"),
        pytest.param(answer(200, b"x" * (LIMIT + 1)), id="one byte too many"),
        pytest.param(answer(200, BOMB, {"content-encoding": "gzip"}), id="JK-006 gzip bomb"),
        pytest.param(chunked(b"x" * 65536), id="JK-006 never ends"),
        pytest.param(answer(200, b"x", {"content-encoding": "gzip"}), id="not the gzip it says"),
        pytest.param(answer(200, gzip.compress(b"x" * 100)[:-4], {"content-encoding": "gzip"}), id="half a gzip"),
        pytest.param(answer(200, b"x", {"content-encoding": "br"}), id="an encoding not asked for"),
        pytest.param(answer(200, b"x", {"content-encoding": "gzip, gzip"}), id="packed twice"),
        pytest.param(answer(200, b"x" * 10, {"content-length": "20"}, close=True), id="cut short"),
    ],
)
async def test_a_body_that_cannot_be_read_leaves_the_status_and_nothing_else(
    http: HttpClient, behaviour: Behaviour
) -> None:
    async with wire(token=behaviour) as provider:
        outcome = await post(http, provider)
        assert isinstance(outcome, HttpResponse)
        assert (outcome.status, outcome.complete, outcome.body) == (200, False, b"")
        assert outcome.why


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(b"x" * LIMIT, {}, id="plain"),
        pytest.param(gzip.compress(b"x" * LIMIT), {"content-encoding": "gzip"}, id="gzip"),
        pytest.param(gzip.compress(b"x" * LIMIT), {"content-encoding": " X-GZIP "}, id="the old name of gzip"),
    ],
)
async def test_a_body_of_just_the_limit_is_read(http: HttpClient, body: bytes, headers: dict[str, str]) -> None:
    async with wire(token=answer(200, body, headers)) as provider:
        outcome = await post(http, provider)
        assert isinstance(outcome, HttpResponse)
        assert outcome.body == b"x" * LIMIT


async def test_a_gzip_bomb_is_never_unpacked_in_memory(http: HttpClient) -> None:
    async with wire(token=answer(200, BOMB, {"content-encoding": "gzip"})) as provider:
        tracemalloc.start()
        try:
            await post(http, provider)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 << 20  # bytes; the bomb is 64 MB


# --- what may have been sent


async def test_a_closed_port_proves_that_nothing_was_sent(http: HttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/token"
        outcome = await http.send("POST", url, within=WITHIN, limit=LIMIT, form={"a": "b"})
    assert isinstance(outcome, NoAnswer)
    assert not outcome.may_have_been_sent  # RF-001


async def test_a_name_that_does_not_resolve_proves_that_nothing_was_sent(http: HttpClient) -> None:
    outcome = await http.send("POST", "http://nowhere.invalid/token", within=WITHIN, limit=LIMIT, form={"a": "b"})
    assert isinstance(outcome, NoAnswer)
    assert not outcome.may_have_been_sent  # RF-001


async def test_a_failed_tls_handshake_proves_that_nothing_was_sent(http: HttpClient) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    outcome = await http.send("POST", url, within=WITHIN, limit=LIMIT, form={"a": "b"})
    server.close()
    assert isinstance(outcome, NoAnswer)
    assert not outcome.may_have_been_sent  # RF-001


async def test_a_tls_handshake_that_never_ends_proves_that_nothing_was_sent_and_is_hung_up(
    http: HttpClient, time_passes: Callable[[float], None]
) -> None:
    hung_up = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)  # its handshake has begun
        time_passes(WITHIN)
        await reader.read()
        hung_up.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    outcome = await http.send("POST", url, within=WITHIN, limit=LIMIT, form={"a": "b"})
    assert isinstance(outcome, NoAnswer)
    assert not outcome.may_have_been_sent
    async with asyncio.timeout(WITHIN):
        await hung_up.wait()
    server.close()


async def test_a_proxy_that_refuses_the_tunnel_proves_that_nothing_was_sent() -> None:
    async with wire() as proxy:
        proxy.routes["provider.example:443"] = answer(502)
        exchange = HttpClient(proxy=proxy.issuer)
        outcome = await exchange.send(
            "POST", "https://provider.example/token", within=WITHIN, limit=LIMIT, form={"a": "b"}
        )
        await exchange.close()
        assert proxy.requests[0].method == "CONNECT"
        assert isinstance(outcome, NoAnswer)
        assert not outcome.may_have_been_sent


@pytest.mark.parametrize("behaviour", [pytest.param(stall, id="RF-004 stall"), pytest.param(reset, id="RF-002 reset")])
async def test_no_answer_after_the_request_left_is_an_unknown_outcome(
    http: HttpClient, behaviour: Behaviour, time_passes: Callable[[float], None]
) -> None:
    async def too_late(request: Request, writer: asyncio.StreamWriter) -> None:
        if behaviour is stall:
            time_passes(WITHIN)
        await behaviour(request, writer)

    async with wire(token=too_late) as provider:
        outcome = await post(http, provider)
        assert isinstance(outcome, NoAnswer)
        assert outcome.may_have_been_sent
        assert provider.count("/token") == 1


async def test_a_status_is_kept_when_its_body_does_not_come_in_time(
    http: HttpClient, time_passes: Callable[[float], None]
) -> None:
    async def head_only(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(head(429, {"content-length": "20", "retry-after": "7"}))
        await some_turns()
        time_passes(WITHIN)
        await writer.wait_closed()

    async with wire(token=head_only) as provider:
        outcome = await post(http, provider)
        assert isinstance(outcome, HttpResponse)
        assert (outcome.status, outcome.headers["retry-after"], outcome.complete) == (429, "7", False)


async def test_a_body_that_drips_does_not_stretch_the_deadline(
    http: HttpClient, time_passes: Callable[[float], None]
) -> None:
    dripped = 0

    async def drip(_: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal dripped
        writer.write(head(200, {"content-length": "100000"}))
        while not writer.is_closing() and dripped < 50:
            writer.write(b"x")
            await writer.drain()
            await some_turns()
            dripped += 1
            time_passes(WITHIN / 10)

    async with wire(token=drip) as provider:
        outcome = await post(http, provider)
        assert dripped < 20
        assert isinstance(outcome, HttpResponse)
        assert not outcome.complete


async def test_nothing_leaves_when_it_may_not_be_sent_any_more(http: HttpClient) -> None:
    async with wire() as provider:
        outcome = await post(http, provider, may_send=lambda: False)
        assert isinstance(outcome, NoAnswer)
        assert not outcome.may_have_been_sent
        assert provider.connections == 1  # it was asked after connecting, as the bytes were about to leave
        assert provider.requests == []
        assert isinstance(await post(http, provider), HttpResponse)


async def test_waiting_for_a_connection_proves_that_nothing_was_sent() -> None:
    exchange = HttpClient(connections=1)
    async with wire(token=stall) as provider:
        first = asyncio.create_task(post(exchange, provider, within=30))
        await provider.arrived.wait()
        second = await post(exchange, provider, within=0.2)
        first.cancel()
        await asyncio.wait([first])
        assert isinstance(second, NoAnswer)
        assert not second.may_have_been_sent
    await exchange.close()


async def test_a_caller_that_is_cancelled_is_cancelled(http: HttpClient) -> None:
    async with wire(token=stall) as provider:
        task = asyncio.create_task(post(http, provider, within=30))
        await provider.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_why_never_repeats_what_was_sent(http: HttpClient) -> None:
    async with wire(token=reset) as provider:
        outcome = await http.send(
            "POST",
            f"{provider.issuer}/token",
            within=WITHIN,
            limit=LIMIT,
            form={"secret": "hush"},
            headers={"a": "hush"},
        )
    assert isinstance(outcome, NoAnswer)
    assert "hush" not in outcome.why
    assert "127.0.0.1" not in outcome.why


async def test_a_ca_file_is_what_is_trusted(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        HttpClient(ca_file=tmp_path / "missing.pem")
