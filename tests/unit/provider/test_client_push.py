"""Pushed authorization requests (RFC 9126) over real sockets."""

from collections.abc import Callable

import pytest

from bff.oidc.pushed_authorization import NotPushed, Pushed
from bff.provider.client import PUSH_TIMEOUT
from bff.telemetry import metrics
from tests.harness.provider_server import (
    DISCOVERY,
    Behaviour,
    ProviderServer,
    answer,
    answer_json,
    client_of,
    discovery_document,
    late,
    provider_server,
    reset,
    secret_of,
    stall,
)

ACCEPTED = answer_json({"request_uri": "urn:okta:abc", "expires_in": 60}, 201)
PUSHED = Pushed("urn:okta:abc", 60)
REQUEST = {"client_id": "0oa1", "response_type": "code", "state": "s", "scope": "openid offline_access"}


def offering(server: ProviderServer) -> ProviderServer:
    document = discovery_document(server.issuer, pushed_authorization_request_endpoint=f"{server.issuer}/par")
    server.routes[DISCOVERY] = answer_json(document)
    return server


def count(outcome: str) -> float:
    return metrics.PROVIDER_REQUESTS.labels(endpoint="push", outcome=outcome)._value.get()


async def test_the_request_is_posted_by_the_authenticated_client() -> None:
    before = count("granted")
    async with provider_server(par=ACCEPTED) as server, client_of(offering(server)) as provider:
        assert await provider.push(REQUEST) == PUSHED
        request = server.requests[-1]
    assert count("granted") == before + 1
    assert (request.method, request.target) == ("POST", "/par")
    assert secret_of(request) == "one"
    assert request.form == REQUEST


async def test_without_an_endpoint_nothing_is_sent() -> None:
    async with provider_server() as server, client_of(server) as provider:
        result = await provider.push(REQUEST)
        assert isinstance(result, NotPushed)
        assert not result.refused
        assert server.count("/par") == 0


@pytest.mark.parametrize(
    ("behaviour", "refused"),
    [
        (answer_json({"error": "invalid_request"}, 400), True),
        (answer(503), False),
        (answer(302, b"", {"location": "https://evil/par"}), False),
        (answer(201, b"x" * 10_000_000), False),
        (reset, False),
        (stall, False),
    ],
)
async def test_every_failure_is_a_value(
    behaviour: Behaviour, refused: bool, advance_clock: Callable[[float], None]
) -> None:
    par = late(stall, advance_clock, PUSH_TIMEOUT) if behaviour is stall else behaviour
    outcome = "denied" if refused else "no_answer"
    before = count(outcome)
    async with provider_server(par=par) as server, client_of(offering(server)) as provider:
        result = await provider.push(REQUEST)
        assert server.count("/par") == 1
    assert isinstance(result, NotPushed)
    assert result.refused == refused
    assert count(outcome) == before + 1
