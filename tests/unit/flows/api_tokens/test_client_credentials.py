"""The BFF's own tokens: shared, renewed ahead, requested once."""

import asyncio

import pytest

from bff.config.api_tokens import ClientCredentialsToken
from bff.errors import ProviderUnavailable
from bff.flows.api_tokens.client_credentials import ClientTokens
from bff.flows.api_tokens.refusal import ApiTokenDenied, ApiTokenRefused
from bff.oidc.token import Denied, NoAnswer, Postponed, TokenResult
from tests.harness.virtual_time import time_passes
from tests.unit.flows.api_tokens.replicas import issuers_of
from tests.unit.flows.parts import Parts

REPORTS, SEARCH = (ClientCredentialsToken(scope=(name,)) for name in ("reports", "search"))


def own_tokens(parts: Parts, *, dpop: bool = False) -> ClientTokens:
    return ClientTokens(issuers_of(parts), parts.tasks, dpop=dpop, monotonic=parts.timing.monotonic)


async def test_many_callers_share_one_request(parts: Parts) -> None:
    tokens = own_tokens(parts)
    parts.provider.delay = 0.5
    found = await asyncio.gather(*(tokens.access(token) for token in (REPORTS, SEARCH) * 50))
    assert parts.provider.own_requests == [("reports",), ("search",)]
    assert {access.access_token for access in found[::2]} == {"own-1"}
    assert {access.access_token for access in found[1::2]} == {"own-2"}


async def test_a_caller_that_leaves_does_not_stop_the_request(parts: Parts) -> None:
    tokens = own_tokens(parts)
    parts.provider.delay = 0.5
    first = asyncio.create_task(tokens.access(REPORTS))
    await time_passes(0.1)
    first.cancel()
    assert (await tokens.access(REPORTS)).access_token == "own-1"
    assert len(parts.provider.own_requests) == 1


async def test_a_token_is_renewed_ahead_without_a_wait(parts: Parts) -> None:
    tokens = own_tokens(parts)
    await tokens.access(REPORTS)
    await time_passes(590)
    parts.provider.exchange_answers = [NoAnswer(True)]
    assert (await tokens.access(REPORTS)).access_token == "own-1"
    await parts.settled()
    await time_passes(2)
    assert (await tokens.access(REPORTS)).access_token == "own-1"
    await parts.settled()
    assert (await tokens.access(REPORTS)).access_token == "own-3"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Denied(400, "invalid_scope"), ApiTokenRefused),
        (Denied(403, "access_denied"), ApiTokenDenied),
        (Postponed(20.0), ProviderUnavailable),
        (NoAnswer(False), ProviderUnavailable),
    ],
)
async def test_a_failure_is_not_asked_for_again_at_once(
    parts: Parts, answer: TokenResult, error: type[Exception]
) -> None:
    tokens = own_tokens(parts)
    parts.provider.exchange_answers = [answer]
    for _ in range(3):
        with pytest.raises(error) as failed:
            await tokens.access(REPORTS)
        assert type(failed.value) is error
    assert len(parts.provider.own_requests) == 1
    await time_passes(31)
    assert (await tokens.access(REPORTS)).access_token == "own-2"


async def test_an_exception_of_the_provider_client_is_not_repeated_by_every_request(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def broken(*_: object, **__: object) -> TokenResult:
        nonlocal calls
        calls += 1
        raise RuntimeError

    monkeypatch.setattr(parts.provider, "client_token", broken)
    tokens = own_tokens(parts)
    for _ in range(3):
        with pytest.raises(ProviderUnavailable):
            await tokens.access(REPORTS)
    assert calls == 1


async def test_the_pause_that_an_unavailable_provider_asks_for_is_kept(parts: Parts) -> None:
    tokens = own_tokens(parts)
    parts.provider.exchange_answers = [NoAnswer(True, "503", retry_after=20.0)]
    with pytest.raises(ProviderUnavailable) as failed:
        await tokens.access(REPORTS)
    assert failed.value.retry_after == 20
    await time_passes(10)
    with pytest.raises(ProviderUnavailable):
        await tokens.access(REPORTS)
    assert len(parts.provider.own_requests) == 1


async def test_a_rejected_token_is_replaced_for_all_callers(parts: Parts) -> None:
    tokens = own_tokens(parts)
    first = await tokens.access(REPORTS)
    assert await tokens.access(REPORTS, rejected=first.access_token) == first  # it is new: another one would not help
    await time_passes(31)
    found = await asyncio.gather(*(tokens.access(REPORTS, rejected=first.access_token) for _ in range(5)))
    assert {access.access_token for access in found} == {"own-2"}


async def test_with_dpop_each_token_is_bound_to_a_key_of_this_process(parts: Parts) -> None:
    bound = await own_tokens(parts, dpop=True).access(REPORTS)
    assert bound.dpop_key is not None
    assert bound.dpop_key not in repr(bound)
    assert (await own_tokens(parts).access(REPORTS)).dpop_key is None
