"""Limits of token exchanges: one authorization server that hangs, or throttles, is no matter of another."""

import asyncio

import pytest

from bff.config.api_tokens import ExchangeToken
from bff.errors import ProviderUnavailable
from bff.flows.api_tokens.api_access import TokenIssuers
from bff.flows.api_tokens.exchange_limits import CONCURRENT
from bff.oidc.token import Postponed
from tests.harness.minting import ISSUER
from tests.harness.scripted_provider import ScriptedProvider
from tests.harness.virtual_time import time_passes
from tests.unit.flows.api_tokens.replicas import ORDERS, Replica
from tests.unit.flows.parts import Parts

OTHER = "https://other.example.com"
SLOW = ExchangeToken(audience="slow", issuer=OTHER)


def two_servers(parts: Parts) -> tuple[Replica, ScriptedProvider]:
    other = ScriptedProvider()
    return Replica(parts, TokenIssuers({(ISSUER, "sign_in"): parts.provider, (OTHER, "sign_in"): other}, ISSUER)), other


async def test_a_server_that_hangs_delays_no_exchange_at_another(parts: Parts) -> None:
    replica, other = two_servers(parts)
    other.delay = 7.0
    sessions = [await parts.signed_in() for _ in range(CONCURRENT + 1)]
    slow = [asyncio.create_task(replica.access(session, SLOW)) for session in sessions]
    await time_passes(0.5)
    began = parts.now
    assert (await replica.access(sessions[0])).access_token == "for-orders-1"
    assert parts.now < began + 1
    assert len(other.token_requests) == CONCURRENT
    await asyncio.gather(*slow, return_exceptions=True)


@pytest.mark.parametrize(("client_wide", "requests"), [(True, 1), (False, 3)])
async def test_a_throttled_client_sends_no_exchange_for_any_session(
    parts: Parts, client_wide: bool, requests: int
) -> None:
    replica, other = two_servers(parts)
    first, *others = [await parts.signed_in() for _ in range(3)]
    parts.provider.exchange_answers = [Postponed(20.0, client_wide=client_wide)]
    for session in (first, *others):
        if session is first or client_wide:
            with pytest.raises(ProviderUnavailable) as failed:
                await replica.access(session)
            assert failed.value.retry_after is not None
            assert 1 <= failed.value.retry_after <= 20
        else:
            await replica.access(session)
    assert len(parts.provider.token_requests) == requests
    await replica.access(first, SLOW)  # another server
    assert len(other.token_requests) == 1
    await time_passes(21)
    assert (await replica.access(first, ORDERS)).access_token
