"""The connections of frequent requests; `test_http.py` shows what both clients have in common."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bff.oidc.token import NoAnswer
from bff.provider.http1_client import Http1Client, Origin, Target, target_of
from bff.provider.response import KEEP_ALIVE_SECONDS, HttpResponse, Outcome
from tests.harness.provider_server import WITHIN, ProviderServer, answer, gated, provider_server
from tests.harness.raw_http import Request, Writer
from tests.harness.waiting import until


@pytest.fixture
async def http() -> AsyncIterator[Http1Client]:
    client = Http1Client(connections=4)
    yield client
    await client.close()


async def post(http: Http1Client, to: ProviderServer, **headers: str) -> Outcome:
    url = f"{to.issuer}/token"
    return await http.send("POST", url, within=WITHIN, limit=1000, form={"a": "b"}, headers=headers)


async def answered(http: Http1Client, by: ProviderServer) -> HttpResponse:
    outcome = await post(http, by)
    assert isinstance(outcome, HttpResponse)
    assert outcome.complete
    return outcome


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://okta.example/a", Target(Origin(True, "okta.example", 443), b"okta.example", b"/a")),
        ("https://okta.example:443", Target(Origin(True, "okta.example", 443), b"okta.example", b"/")),
        (
            "http://okta.example:8080/a?b=c#d",
            Target(Origin(False, "okta.example", 8080), b"okta.example:8080", b"/a?b=c"),
        ),
        ("http://[::1]/ä b", Target(Origin(False, "::1", 80), b"[::1]", b"/%C3%A4%20b")),
        ("https://bücher.example/", Target(Origin(True, "xn--bcher-kva.example", 443), b"xn--bcher-kva.example", b"/")),
    ],
)
def test_a_url_names_where_to_connect_and_what_to_request(url: str, target: Target) -> None:
    assert target_of(url) == target


async def test_a_connection_is_kept_for_a_few_seconds(
    http: Http1Client, advance_clock: Callable[[float], None]
) -> None:
    async with provider_server() as provider:
        for _ in range(3):
            await answered(http, provider)
        assert provider.connections == 1
        advance_clock(KEEP_ALIVE_SECONDS + 1)
        await answered(http, provider)
        assert provider.connections == 2


@pytest.mark.parametrize("closes", ["announced", "unannounced", "late bytes"])
async def test_a_connection_that_the_provider_closed_carries_no_request(http: Http1Client, closes: str) -> None:
    ended = asyncio.Event()

    async def token(_: Request, writer: Writer) -> None:
        headers = b"connection: close\r\n" if closes == "announced" else b""
        writer.write(b"HTTP/1.1 200 OK\r\n" + headers + b"content-length: 2\r\n\r\n{}")
        await writer.drain()
        if closes == "late bytes":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate")
        else:
            writer.close()
        ended.set()

    async with provider_server(token=token) as provider:
        for number in range(3):
            assert (await answered(http, provider)).body == b"{}"
            await ended.wait()
            ended.clear()
            assert provider.connections == provider.count("/token") == number + 1


async def test_a_cancelled_request_closes_its_connection_and_frees_its_place(http: Http1Client) -> None:
    token, gate = gated(answer(200))
    async with provider_server(token=token) as provider:
        waiting = [asyncio.create_task(post(http, provider)) for _ in range(4)]
        await until(lambda: provider.count("/token") == 4)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        gate.set()
        await answered(http, provider)
        assert provider.connections == 5


async def test_a_repeated_header_is_joined_and_its_bytes_are_kept(http: Http1Client) -> None:
    async def token(_: Request, writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nA: 1\r\nX: caf\xe9\r\na: 2\r\ncontent-length: 0\r\n\r\n")

    async with provider_server(token=token) as provider:
        assert (await answered(http, provider)).headers == {"a": "1, 2", "x": "café", "content-length": "0"}


@pytest.mark.parametrize("value", ["a\r\nb: c", "ä"])
async def test_a_header_that_cannot_be_sent_is_not_sent(http: Http1Client, value: str) -> None:
    async with provider_server() as provider:
        outcome = await post(http, provider, x=value)
        assert isinstance(outcome, NoAnswer)
        assert not outcome.may_have_been_sent
        assert provider.requests == []


async def test_closing_ends_requests_in_progress() -> None:
    http = Http1Client(connections=1)
    token, _ = gated(answer(200))
    async with provider_server(token=token) as provider:
        waiting = asyncio.create_task(post(http, provider))
        await provider.arrived.wait()
        await http.close()
        outcome = await waiting
        assert isinstance(outcome, NoAnswer)
        assert outcome.may_have_been_sent
