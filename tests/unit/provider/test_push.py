"""Pushing an authorization request (RFC 9126) over real sockets."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bff.oidc.pushed_authorization import NotPushed, Pushed
from bff.telemetry import metrics
from tests.harness.provider_wire import (
    DISCOVERY,
    Behaviour,
    Wire,
    answer,
    answer_json,
    discovery_document,
    reset,
    stall,
    wire,
)
from tests.unit.provider.test_client import TWO_SECRETS, only_with, provider_of, secret_of

NAME = "urn:okta:abc"
TAKEN = answer_json({"request_uri": NAME, "expires_in": 60}, 201)
REQUEST = {"client_id": "0oa1", "response_type": "code", "state": "s", "scope": "openid offline_access"}


def offering(world: Wire) -> Wire:
    document = discovery_document(world.issuer, pushed_authorization_request_endpoint=f"{world.issuer}/par")
    world.routes[DISCOVERY] = answer_json(document)
    return world


@contextmanager
def metric_endpoint(outcome: str) -> Iterator[None]:
    child = metrics.PROVIDER_REQUESTS.labels(endpoint="push", outcome=outcome)
    before = child._value.get()
    yield
    assert child._value.get() == before + 1


async def test_the_request_is_posted_by_the_client_itself() -> None:
    async with wire(par=TAKEN) as world, provider_of(offering(world)) as provider:
        with metric_endpoint("granted"):
            assert await provider.push(REQUEST) == Pushed(NAME, 60)
        request = world.requests[-1]
        assert (request.method, request.path) == ("POST", "/par")
        assert secret_of(request) == "one"
        assert request.form == REQUEST


async def test_the_other_secret_is_tried_where_one_is_refused() -> None:
    async with wire(par=only_with("two", TAKEN)) as world, provider_of(offering(world), TWO_SECRETS) as provider:
        assert await provider.push(REQUEST) == Pushed(NAME, 60)
        assert [secret_of(request) for request in world.requests if request.path == "/par"] == ["one", "two"]
        assert await provider.push(REQUEST) == Pushed(NAME, 60)
        assert world.count("/par") == 3, "the secret that was taken is tried first from now on"


async def test_without_an_endpoint_nothing_is_sent() -> None:
    async with wire() as world, provider_of(world) as provider:
        answered = await provider.push(REQUEST)
        assert isinstance(answered, NotPushed)
        assert not answered.refused
        assert world.count("/par") == 0


@pytest.mark.parametrize(
    ("behaviour", "refused"),
    [
        pytest.param(answer_json({"error": "invalid_request"}, 400), True, id="refused"),
        pytest.param(answer(503), False, id="away"),
        pytest.param(answer(302, b"", {"location": "https://evil/par"}), False, id="a redirect is not followed"),
        pytest.param(answer(201, b"x" * 10_000_000), False, id="a body without end"),
        pytest.param(reset, False, id="reset"),
        pytest.param(stall, False, id="never answered"),
    ],
)
async def test_every_failure_is_a_value(behaviour: Behaviour, refused: bool) -> None:
    async with (
        wire(par=behaviour) as world,
        provider_of(offering(world), timeout=2 if behaviour is stall else 60) as provider,
    ):
        with metric_endpoint("denied" if refused else "no_answer"):
            answered = await provider.push(REQUEST)
        assert isinstance(answered, NotPushed)
        assert answered.refused == refused
        assert world.count("/par") >= 1
