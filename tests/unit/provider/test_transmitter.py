"""The transmitter over HTTP: its stream is found or created, its polls are authorized, and its failures are bounded."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bff.errors import ProviderUnavailable
from bff.oidc.transmitter import PollRequest
from bff.provider.http import HttpClient
from bff.provider.transmitter import HttpTransmitter
from tests.harness.provider_server import WITHIN, Behaviour, ProviderServer, answer, answer_json, provider_server
from tests.harness.raw_http import Request, Writer

METADATA, KEYS, STREAMS, POLL = "/.well-known/ssf-configuration", "/keys", "/streams", "/poll"


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """One after the other; the last one for the rest."""
    waiting = list(behaviours)

    async def respond(request: Request, writer: Writer) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request, writer)

    return respond


@asynccontextmanager
async def transmitter(**routes: Callable[[str], Behaviour]) -> AsyncIterator[tuple[ProviderServer, HttpTransmitter]]:
    """`routes` are behaviours made of the server's address; `tokens` t-1, t-2 ... are asked for as they are needed."""
    numbers = iter(range(1, 100))

    async def get_token(rejected: str | None) -> str:
        return f"t-{next(numbers)}"

    async with provider_server() as server:
        url = server.url
        metadata = {"issuer": url, "jwks_uri": url + KEYS, "configuration_endpoint": url + STREAMS}
        server.routes[METADATA] = answer_json(metadata)
        server.routes[STREAMS] = answer_json([stream(url)])
        server.routes |= {f"/{name}" if name != "metadata" else METADATA: made(url) for name, made in routes.items()}
        client = HttpTransmitter(url, HttpClient(), get_token, requested=("urn:a",), timeout=WITHIN)
        try:
            yield server, client
        finally:
            await client.close()


def stream(url: str, method: str = "urn:ietf:rfc:8936") -> dict[str, Any]:
    return {"stream_id": "s1", "aud": url, "delivery": {"method": method, "endpoint_url": url + POLL}}


async def test_a_stream_is_polled_with_an_access_token() -> None:
    tokens = {"sets": {"a": "x.y.z"}, "moreAvailable": False}
    async with transmitter(poll=lambda _: answer_json(tokens)) as (server, client):
        response = await client.poll(PollRequest(acknowledged=["b"]))
        assert (response.tokens, response.more) == ({"a": "x.y.z"}, False)
        (poll,) = server.to(POLL)
        assert poll.headers["authorization"] == "Bearer t-1"
        assert json.loads(poll.body)["ack"] == ["b"]
        assert (await client.keys()).has("k1")
        await client.poll(PollRequest())
        assert server.count(STREAMS) == 1


@pytest.mark.parametrize("none_yet", [answer(404), answer_json([])])
async def test_a_missing_stream_is_created_once(none_yet: Behaviour) -> None:
    def streams(url: str) -> Behaviour:
        return in_turn(none_yet, answer_json(stream(url), 201), answer_json(stream(url)))

    async with transmitter(streams=streams) as (server, client):
        assert (await client.stream()).stream_id == "s1"
        asked, created, _ = server.to(STREAMS)
        assert (asked.method, created.method) == ("GET", "POST")
        assert json.loads(created.body)["events_requested"] == ["urn:a"]


@pytest.mark.parametrize(
    "routes",
    [
        {"streams": lambda url: answer_json(stream(url, "urn:ietf:rfc:8935"))},
        {"streams": lambda _: answer(403)},
        {"metadata": lambda url: answer_json({"issuer": url, "jwks_uri": url + KEYS})},
        {"metadata": lambda url: answer_json({"issuer": "https://another.example", "jwks_uri": url + KEYS})},
        {"poll": lambda _: answer(500)},
        {"poll": lambda _: answer_json({"sets": 1})},
        {"poll": lambda _: answer(401)},
    ],
)
async def test_a_transmitter_that_cannot_be_used_is_unavailable(routes: dict[str, Callable[[str], Behaviour]]) -> None:
    async with transmitter(**routes) as (_, client):
        with pytest.raises(ProviderUnavailable):
            await client.poll(PollRequest())


async def test_a_rejected_access_token_is_replaced_once() -> None:
    async with transmitter(poll=lambda _: in_turn(answer(401), answer_json({"sets": {}}))) as (server, client):
        await client.poll(PollRequest())
        assert [poll.headers["authorization"] for poll in server.to(POLL)] == ["Bearer t-1", "Bearer t-2"]
