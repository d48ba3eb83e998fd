"""The provider does not answer for a while: few requests meanwhile, and soon after it every session is served."""

import asyncio

import pytest

from bff.errors import ProviderUnavailable
from bff.oidc.token import NoAnswer
from bff.session.session import SessionKey
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts

OUTAGE = 40.0  # seconds
RECOVERS_IN = 5.0  # seconds after the provider answers
OUTAGES = [
    pytest.param(NoAnswer(may_have_been_sent=False), 0.0, id="refused connections"),
    pytest.param(NoAnswer(may_have_been_sent=True), 0.0, id="server errors"),
    pytest.param(NoAnswer(may_have_been_sent=True), 3.0, id="slow server errors"),
]


async def served_at(parts: Parts, key: SessionKey, begins: float, pause: float | None) -> float:
    """When a client that calls again after `pause` seconds, or after Retry-After, is served."""
    await time_passes(begins)
    while True:
        try:
            await parts.refresh.session_with_fresh_token(key)
        except ProviderUnavailable as error:
            await time_passes(error.retry_after or 1 if pause is None else pause)
        else:
            return parts.now


@pytest.mark.parametrize(("failure", "delay"), OUTAGES)
@pytest.mark.parametrize("sessions", [1, 12])
@pytest.mark.parametrize("pause", [pytest.param(None, id="after Retry-After"), pytest.param(2.0, id="every 2 s")])
async def test_calls_flow_again_within_five_seconds(
    parts: Parts, failure: NoAnswer, delay: float, sessions: int, pause: float | None
) -> None:
    keys = [(await parts.expired()).key for _ in range(sessions)]
    parts.provider.answers, parts.provider.delay = [failure] * 10_000, delay
    began = parts.now
    clients = [asyncio.create_task(served_at(parts, key, 0.1 * n, pause)) for n, key in enumerate(keys)]
    await time_passes(OUTAGE)
    parts.provider.answers, parts.provider.delay = [], 0.0
    for client in clients:
        assert await client - began - OUTAGE <= RECOVERS_IN


async def test_the_number_of_sessions_does_not_multiply_the_requests_of_an_outage(parts: Parts) -> None:
    keys = [(await parts.expired()).key for _ in range(30)]
    parts.provider.answers = [NoAnswer(may_have_been_sent=False)] * 10_000
    clients = [asyncio.create_task(served_at(parts, key, 0.1 * n, 2.0)) for n, key in enumerate(keys)]
    await time_passes(10)
    sent = len(parts.provider.refreshed)
    await time_passes(20)
    # One a second. Each for itself they would send ten times as many.
    assert len(parts.provider.refreshed) - sent <= 25
    for client in clients:
        client.cancel()
