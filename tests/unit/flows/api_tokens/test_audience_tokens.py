"""Exchanged tokens: one request for all callers and replicas, and failures that are the route's alone."""

import asyncio
import contextlib

import pytest

from bff.config.api_tokens import ResourceToken
from bff.errors import ProviderUnavailable, SignInRequired, StepUpRequired
from bff.flows.api_tokens.refusal import ApiTokenDenied, ApiTokenRefused
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.session.audience_tokens import entry, resource_name
from bff.session.session import EndReason
from bff.session.timing import token_fingerprint
from bff.telemetry.metrics import REGISTRY
from tests.harness.virtual_time import time_passes
from tests.unit.flows.api_tokens.replicas import BILLING, ORDERS, Replica
from tests.unit.flows.parts import Parts

INVENTORY, STOCK = (ResourceToken(resource=f"https://{name}.example.com") for name in ("inventory", "stock"))
RESOURCES = [INVENTORY.resource, STOCK.resource]


async def test_many_callers_at_three_replicas_cause_one_exchange(parts: Parts) -> None:
    session = await parts.signed_in()
    parts.provider.delay = 0.5
    replicas = [Replica(parts), *(Replica(Parts(beside=parts)) for _ in range(2))]
    found = await asyncio.gather(*(replica.access(session) for replica in replicas for _ in range(50)))
    assert {access.access_token for access in found} == {"for-orders-1"}
    assert parts.provider.token_requests == [(session.tokens.access_token, "orders")]
    after = await parts.stored(session)
    assert after is not None
    assert (after.rotation, after.attempt, parts.provider.refreshed) == (session.rotation, None, [])


async def test_each_audience_and_each_session_has_its_own_token(parts: Parts) -> None:
    replica, ann, ben = Replica(parts), await parts.signed_in(), await parts.signed_in()
    wanted = [(session, token) for session in (ann, ben) for token in (ORDERS, BILLING)]
    found = await asyncio.gather(*(replica.access(session, token) for session, token in wanted))
    sent = {(session.tokens.access_token, token.audience) for session, token in wanted}
    assert set(parts.provider.token_requests) == sent
    assert len({access.access_token for access in found}) == 4
    assert all(
        f"for-{token.audience}-" in access.access_token for (_, token), access in zip(wanted, found, strict=True)
    )


async def test_a_token_is_renewed_ahead_without_a_wait(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    await replica.access(session)
    await time_passes(580)
    parts.provider.delay = 1.0
    assert (await replica.access(session)).access_token == "for-orders-1"
    await parts.settled()
    assert (await replica.access(session)).access_token == "for-orders-2"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Denied(400, "invalid_target"), ApiTokenRefused),
        (Denied(401, "invalid_client"), ApiTokenRefused),
        (Denied(403, "access_denied"), ApiTokenDenied),
        (Postponed(30.0), ProviderUnavailable),
        (NoAnswer(True, "reset"), ProviderUnavailable),
        (NoAnswer(False, "no connection"), ProviderUnavailable),
    ],
)
async def test_a_failure_is_the_routes_and_ends_nothing(
    parts: Parts, answer: TokenResult, error: type[Exception]
) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    parts.provider.exchange_answers = [answer]
    for _ in range(3):  # within the pause, the provider is asked once
        with pytest.raises(error) as failed:
            await replica.access(session)
        assert type(failed.value) is error
    assert len(parts.provider.token_requests) == 1
    assert (await replica.access(session, BILLING)).access_token == "for-billing-2"
    tokens = (await parts.refresh.session_at(session.key)).session.tokens
    assert tokens.access_token == session.tokens.access_token
    await time_passes(31)
    assert (await replica.access(session)).access_token == "for-orders-3"
    assert parts.provider.refreshed == []


async def test_a_refused_subject_token_leads_to_one_renewal_and_one_retry(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    await time_passes(40)
    parts.provider.exchange_answers = [Denied(400, "invalid_grant")]
    assert (await replica.access(session)).access_token == "for-orders-2"
    assert parts.provider.token_requests == [(session.tokens.access_token, "orders"), ("access-1", "orders")]
    assert parts.provider.refreshed == [session.tokens.refresh_token]


async def test_an_exchange_that_stays_refused_does_not_renew_again_and_again(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    await time_passes(40)
    parts.provider.exchange_answers = [Denied(400, "invalid_request")] * 20
    for _ in range(6):
        with pytest.raises(ApiTokenRefused):
            await replica.access(session)
        await time_passes(40)
    assert len(parts.provider.refreshed) == 1
    assert len(parts.provider.token_requests) == 7


async def test_a_new_subject_token_that_is_refused_causes_no_renewal(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    parts.provider.exchange_answers = [Denied(400, "invalid_request")]
    with pytest.raises(ApiTokenRefused):
        await replica.access(session)
    assert (parts.provider.refreshed, len(parts.provider.token_requests)) == ([], 1)


async def test_a_rejected_token_is_exchanged_again_and_the_session_is_not_renewed(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    first = await replica.access(session)
    await time_passes(31)
    rejected = token_fingerprint(first.access_token)
    both = await asyncio.gather(*(replica.access(session, rejected=rejected) for _ in range(2)))
    assert {access.access_token for access in both} == {"for-orders-2"}
    assert parts.provider.refreshed == []


async def test_a_token_for_a_session_that_has_ended_is_revoked(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    parts.provider.delay = 1.0
    waiting = asyncio.create_task(replica.access(session))
    await time_passes(0.5)
    await parts.end_session.end(session.key, EndReason.SIGNED_OUT)
    with pytest.raises(SignInRequired):
        await waiting
    await parts.settled()
    assert set(parts.provider.revoked) == {session.tokens.refresh_token, "for-orders-1"}


async def test_kept_tokens_are_revoked_with_the_session(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    await replica.access(session)
    await parts.end_session.end(session.key, EndReason.SIGNED_OUT)
    await parts.settled()
    assert set(parts.provider.revoked) == {session.tokens.refresh_token, "for-orders-1"}


async def test_callers_get_an_answer_by_their_deadline(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in()
    parts.provider.delay = 60.0
    with pytest.raises(ProviderUnavailable):
        await replica.access(session)
    assert parts.now < session.signed_in_at + 30


async def test_several_resources_take_their_turn_in_the_refresh_chain(parts: Parts) -> None:
    session = await parts.signed_in(resources=RESOURCES)
    replicas = [Replica(parts), Replica(Parts(beside=parts))]
    parts.provider.delay = 0.2
    found = await asyncio.gather(
        *(replica.access(session, token) for replica in replicas for token in (INVENTORY, STOCK, INVENTORY))
    )
    assert len({access.access_token for access in found}) == 2
    assert sorted(parts.provider.resources, key=str) == RESOURCES
    assert parts.provider.most_running == 1
    after = await parts.stored(session)
    assert after is not None
    assert after.tokens.access_token == session.tokens.access_token
    assert after.tokens.refresh_token == "refresh-2"
    assert after.rotation == session.rotation + 2


async def test_a_resource_that_the_sign_in_did_not_ask_for_is_not_requested(parts: Parts) -> None:
    """Some providers have consumed the refresh token before they refuse the resource."""
    replica, session = Replica(parts), await parts.signed_in(resources=[STOCK.resource])
    with pytest.raises(StepUpRequired):
        await replica.access(session, INVENTORY)
    assert parts.provider.refreshed == []


async def test_invalid_grant_for_a_resource_is_confirmed_by_a_plain_refresh(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in(resources=RESOURCES)
    parts.provider.answers = [Denied(400, "invalid_grant")]
    with pytest.raises(ApiTokenRefused):
        await replica.access(session, INVENTORY)
    assert parts.provider.resources == [INVENTORY.resource, None]
    after = await parts.stored(session)
    assert after is not None
    assert after.tokens.access_token == "access-2"
    assert entry(after, resource_name(INVENTORY.resource)).refused == "invalid_grant"

    parts.provider.answers = [Denied(400, "invalid_grant"), Denied(400, "invalid_grant")]
    with pytest.raises(SignInRequired):
        await replica.access(session, STOCK)
    assert await parts.end_reason(session) is EndReason.REFRESH_TOKEN_INVALID


@pytest.mark.parametrize(
    "answer",
    [Denied(400, "invalid_target"), Denied(400, "access_denied"), Denied(400, "invalid_request"), Postponed(5.0)],
)
async def test_a_refused_resource_leaves_the_refresh_chain_as_it_was(parts: Parts, answer: TokenResult) -> None:
    replica, session = Replica(parts), await parts.signed_in(resources=RESOURCES)
    for _ in range(3):
        parts.provider.answers = [answer]
        with pytest.raises((ApiTokenRefused, ProviderUnavailable)):
            await replica.access(session, INVENTORY)
        await time_passes(120)
    parts.provider.answers = []
    after = await parts.stored(session)
    assert after is not None
    assert (after.attempt, after.rotation, after.tokens) == (None, session.rotation, session.tokens)


async def test_a_lost_answer_for_a_resource_is_asked_for_again_with_the_same_resource(parts: Parts) -> None:
    replica, session = Replica(parts), await parts.signed_in(resources=RESOURCES)
    parts.provider.answers = [
        NoAnswer(True, "reset"),
        Granted(TokenResponse("for-inventory", 600, "refresh-after")),
    ]
    access = await replica.access(session, INVENTORY)
    assert access.access_token == "for-inventory"
    assert parts.provider.resources == [INVENTORY.resource] * 2
    after = await parts.stored(session)
    assert after is not None
    assert (after.tokens.access_token, after.tokens.refresh_token) == (session.tokens.access_token, "refresh-after")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(None, "granted"), (Denied(400, "invalid_target"), "refused"), (Postponed(5.0), "unavailable")],
)
async def test_a_request_for_a_resource_is_counted(
    parts: Parts, answer: TokenResult | None, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    def counted() -> float:
        labels = {"kind": "resource", "outcome": outcome}
        return REGISTRY.get_sample_value("bff_api_tokens_total", labels) or 0.0

    replica, session = Replica(parts), await parts.signed_in(resources=RESOURCES)
    before, parts.provider.answers = counted(), [] if answer is None else [answer]
    with contextlib.suppress(ApiTokenRefused, ProviderUnavailable):
        await replica.access(session, INVENTORY)
    assert counted() == before + 1
    logged = [record for record in caplog.records if record.message == "no access token for an API"]
    assert len(logged) == (outcome != "granted")
    assert all(record.__dict__["audience"] == INVENTORY.resource for record in logged)
