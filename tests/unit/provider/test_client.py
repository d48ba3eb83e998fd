"""The provider as flows see it: tokens, two live secrets, revocation, UserInfo; over real sockets."""

import asyncio
import base64
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bff.errors import ProviderUnavailable
from bff.oidc.client_auth import ClientAuthentication, client_authentication
from bff.oidc.dpop import new_dpop_key
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import Denied, Granted, NoAnswer, NotRevoked, Postponed, Revoked, TokenResult
from bff.provider.client import HttpProvider
from bff.provider.connections import REVOCATIONS, SIGN_INS, ProviderConnections, TransportSettings
from tests.harness.provider_wire import (
    DISCOVERY,
    GOOD_TOKENS,
    WITHIN,
    Behaviour,
    Request,
    Wire,
    answer,
    answer_json,
    discovery_document,
    reset,
    some_turns,
    stall,
    wire,
)

BASIC = client_authentication("client_secret_basic", "0oa1", secrets=["one"])
TWO_SECRETS = client_authentication("client_secret_basic", "0oa1", secrets=["one", "two"])


@asynccontextmanager
async def provider_of(
    world: Wire, auth: ClientAuthentication = BASIC, *, refreshes: int = 20, **more: Any
) -> AsyncIterator[HttpProvider]:
    transport = TransportSettings(**{"timeout": WITHIN, **more})
    provider = HttpProvider(world.issuer, auth, ProviderConnections(transport, refreshes=refreshes))
    try:
        yield provider
    finally:
        await provider.close()


def secret_of(request: Request) -> str:
    return base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode().partition(":")[2]


def only_with(secret: str, then: Behaviour) -> Behaviour:
    async def send(request: Request, writer: asyncio.StreamWriter) -> None:
        refused = answer_json({"error": "invalid_client"}, 401)
        await (then if secret_of(request) == secret else refused)(request, writer)

    return send


async def refresh(provider: OpenIDProvider, within: float = WITHIN) -> TokenResult:
    return await provider.refresh("rt1", timeout=within)


# --- tokens


async def test_a_code_is_redeemed_with_its_verifier_and_the_client_secret() -> None:
    async with wire() as world, provider_of(world) as provider:
        granted = await provider.exchange_code("c", redirect_uri="https://app.example/cb", code_verifier="v")
        assert isinstance(granted, Granted)
        assert granted.tokens.access_token == "at"
        request = world.requests[-1]
        assert request.method == "POST"
        assert secret_of(request) == "one"
        assert request.form == {
            "grant_type": "authorization_code",
            "code": "c",
            "redirect_uri": "https://app.example/cb",
            "code_verifier": "v",
        }


async def test_a_refresh_sends_the_token_in_the_body_and_nothing_in_the_url() -> None:
    async with wire() as world, provider_of(world) as provider:
        granted = await refresh(provider)
        assert isinstance(granted, Granted)
        assert granted.tokens.refresh_token == "rt2"
        assert world.requests[-1].form == {"grant_type": "refresh_token", "refresh_token": "rt1"}
        assert world.requests[-1].path == "/token"


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        pytest.param(answer_json({"error": "invalid_grant"}, 400), Denied(400, "invalid_grant"), id="invalid_grant"),
        pytest.param(answer_json({"error": "invalid_grant"}, 429), Postponed(), id="429 invalid_grant"),
        pytest.param(
            answer_json({"error": "x"}, 429, {"retry-after": "5"}),
            Postponed(5.0, client_wide=True),
            id="RF-038 Retry-After",
        ),
        pytest.param(answer(503, b"", {"Retry-After": "9"}), NoAnswer(True, "status 503", 9.0), id="RF-006 503"),
        pytest.param(
            answer(200, b"<html>", {"content-type": "text/html"}), NoAnswer(True, "the body is not JSON"), id="AZ-055"
        ),
        pytest.param(
            answer(302, b"", {"location": "https://evil/token"}), NoAnswer(True, "status 302"), id="AZ-062 redirect"
        ),
        pytest.param(
            answer(200, b"x" * 10_000_000),
            NoAnswer(True, "the body is longer than 262144 bytes"),
            id="AZ-061 a body without end",
        ),
    ],
)
async def test_any_response_is_parsed_and_never_raised(behaviour: Behaviour, expected: TokenResult) -> None:
    async with wire(token=behaviour) as world, provider_of(world) as provider:
        assert await refresh(provider) == expected
        assert world.count("/token") == 1


async def test_a_stalled_answer_is_given_up_by_the_deadline_of_the_refresh_not_by_the_providers(
    time_passes: Callable[[float], None],
) -> None:
    async def too_late(request: Request, writer: asyncio.StreamWriter) -> None:
        time_passes(WITHIN)
        await stall(request, writer)

    async with wire(token=too_late) as world, provider_of(world, timeout=60) as provider:
        await provider.metadata()
        async with asyncio.timeout(2 * WITHIN):
            said = await refresh(provider)
        assert isinstance(said, NoAnswer)
        assert said.may_have_been_sent


async def test_metadata_that_does_not_come_proves_that_nothing_was_sent() -> None:
    async with wire() as world, provider_of(world, timeout=60) as provider:
        world.routes[DISCOVERY] = stall
        async with asyncio.timeout(WITHIN / 2):
            said = await refresh(provider, within=0.3)
        assert isinstance(said, NoAnswer)
        assert not said.may_have_been_sent


async def test_a_provider_that_is_down_proves_that_nothing_was_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with wire() as world, provider_of(world) as provider:
            away = f"http://127.0.0.1:{unused.getsockname()[1]}/token"
            world.routes[DISCOVERY] = answer_json(discovery_document(world.issuer, token_endpoint=away))
            said = await refresh(provider)
            assert isinstance(said, NoAnswer)
            assert not said.may_have_been_sent  # RF-001


async def test_a_refresh_that_may_not_be_sent_any_more_is_not_sent() -> None:
    async with wire() as world, provider_of(world) as provider:
        said = await provider.refresh("rt1", timeout=WITHIN, may_send=lambda: False)
        assert isinstance(said, NoAnswer)
        assert not said.may_have_been_sent
        assert world.count("/token") == 0


# --- client secrets


@pytest.mark.parametrize("case", ["RF-032"])
async def test_the_second_secret_is_tried_in_the_same_call_and_remembered(case: str) -> None:
    async with (
        wire(token=only_with("two", answer_json(GOOD_TOKENS))) as world,
        provider_of(world, TWO_SECRETS) as provider,
    ):
        for _ in range(3):
            assert isinstance(await refresh(provider), Granted)
        tried = [secret_of(request) for request in world.requests if request.path == "/token"]
        assert tried == ["one", "two", "two", "two"]
        world.routes["/token"] = only_with("one", answer_json(GOOD_TOKENS))
        for _ in range(2):
            assert isinstance(await refresh(provider), Granted)
        tried = [secret_of(request) for request in world.requests if request.path == "/token"]
        assert tried[4:] == ["two", "one", "one"]


async def test_when_no_secret_is_taken_the_refusal_stands_and_each_was_tried_once() -> None:
    async with wire(token=only_with("three", answer(200))) as world, provider_of(world, TWO_SECRETS) as provider:
        assert await refresh(provider) == Denied(401, "invalid_client")
        assert world.count("/token") == 2


async def test_another_refusal_does_not_try_the_second_secret() -> None:
    async with (
        wire(token=answer_json({"error": "invalid_grant"}, 400)) as world,
        provider_of(world, TWO_SECRETS) as provider,
    ):
        assert await refresh(provider) == Denied(400, "invalid_grant")
        assert world.count("/token") == 1


async def test_both_secrets_share_one_deadline(time_passes: Callable[[float], None]) -> None:
    """Each attempt alone would be in time, both together are not: the second must not begin a deadline of its own."""

    async def slowly(request: Request, writer: asyncio.StreamWriter) -> None:
        time_passes(0.7 * WITHIN)
        await some_turns()
        await only_with("two", answer_json(GOOD_TOKENS))(request, writer)

    async with wire(token=slowly) as world, provider_of(world, TWO_SECRETS) as provider:
        await provider.metadata()
        said = await refresh(provider)
        assert isinstance(said, NoAnswer)
        assert said.may_have_been_sent


async def test_the_second_secret_is_not_sent_when_it_has_become_too_late() -> None:
    asked = []

    def may_send() -> bool:
        asked.append(True)
        return len(asked) == 1

    async with (
        wire(token=only_with("two", answer_json(GOOD_TOKENS))) as world,
        provider_of(world, TWO_SECRETS) as provider,
    ):
        said = await provider.refresh("rt1", timeout=WITHIN, may_send=may_send)
        assert isinstance(said, NoAnswer)
        assert not said.may_have_been_sent  # what was sent was refused, and consumed nothing
        assert world.count("/token") == 1


async def test_every_attempt_has_an_assertion_of_its_own_for_this_endpoint() -> None:
    auth = client_authentication("client_secret_jwt", "0oa1", secrets=["s" * 32, "t" * 32])
    async with wire(token=answer_json({"error": "invalid_client"}, 401)) as world, provider_of(world, auth) as provider:
        await refresh(provider)
        await refresh(provider)
        sent = [request.form["client_assertion"] for request in world.requests if request.path == "/token"]
        claims = [json.loads(base64.urlsafe_b64decode(each.split(".")[1] + "==")) for each in sent]
        assert {each["aud"] for each in claims} == {f"{world.issuer}/token"}
        assert len({each["jti"] for each in claims}) == 4


# --- UserInfo and revocation


async def test_userinfo_is_asked_with_the_access_token() -> None:
    async with wire() as world, provider_of(world) as provider:
        assert await provider.userinfo("at") == {"sub": "00u1"}
        assert world.requests[-1].headers["authorization"] == "Bearer at"
        assert world.requests[-1].method == "GET"


@pytest.mark.parametrize(
    "behaviour",
    [
        *[
            answer(401),
            answer(500),
            answer(200, b"[]"),
            answer(200, b"a.b.c"),
            answer(302),
            answer(200, b"x" * 999_999),
        ],
        *[reset, stall],
    ],
)
async def test_userinfo_that_cannot_be_used_is_a_provider_that_is_away(behaviour: Behaviour) -> None:
    async with wire(userinfo=behaviour) as world, provider_of(world, timeout=0.5) as provider:
        with pytest.raises(ProviderUnavailable):
            await provider.userinfo("at")


@pytest.mark.parametrize(
    ("status", "challenge", "asked"),
    [
        (401, 'DPoP error="use_dpop_nonce"', 2),
        (401, 'Bearer error="invalid_token"', 1),
        (400, 'DPoP error="use_dpop_nonce"', 1),
    ],
)
async def test_userinfo_that_wants_a_nonce_gets_it_once(status: int, challenge: str, asked: int) -> None:
    """RFC 9449 section 9: a 401 `use_dpop_nonce` is answered with the nonce that came along, and only that."""
    refusal = answer(status, headers={"www-authenticate": challenge, "dpop-nonce": "n-1"})

    async def only_with_nonce(request: Request, writer: asyncio.StreamWriter) -> None:
        proof = json.loads(base64.urlsafe_b64decode(request.headers["dpop"].split(".")[1] + "=="))
        await (answer_json({"sub": "00u1"}) if proof.get("nonce") == "n-1" else refusal)(request, writer)

    async with wire(userinfo=only_with_nonce) as world, provider_of(world) as provider:
        if asked == 2:
            assert await provider.userinfo("at", dpop_key=new_dpop_key()) == {"sub": "00u1"}
        else:
            with pytest.raises(ProviderUnavailable):
                await provider.userinfo("at", dpop_key=new_dpop_key())
        sent = [request.headers["dpop"] for request in world.requests if request.path == "/userinfo"]
        assert len(set(sent)) == len(sent) == asked, "no proof is good twice"


async def test_userinfo_that_never_has_enough_of_nonces_is_away() -> None:
    refusal = answer(401, headers={"www-authenticate": 'DPoP error="use_dpop_nonce"', "dpop-nonce": "n-1"})
    async with wire(userinfo=refusal) as world, provider_of(world) as provider:
        with pytest.raises(ProviderUnavailable):
            await provider.userinfo("at", dpop_key=new_dpop_key())
        assert world.count("/userinfo") == 2


async def test_a_provider_without_userinfo_says_so() -> None:
    async with wire() as world, provider_of(world) as provider:
        world.routes[DISCOVERY] = answer_json(discovery_document(world.issuer, userinfo_endpoint=None))
        with pytest.raises(ProviderUnavailable, match="no UserInfo"):
            await provider.userinfo("at")


async def test_a_token_is_revoked_as_the_client() -> None:
    async with wire() as world, provider_of(world) as provider:
        assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()
        assert world.requests[-1].path == "/revoke"
        assert world.requests[-1].form == {"token": "rt1", "token_type_hint": "refresh_token"}
        assert secret_of(world.requests[-1]) == "one"


async def test_revocation_tries_the_second_secret_too() -> None:
    async with wire(revoke=only_with("two", answer(200))) as world, provider_of(world, TWO_SECRETS) as provider:
        assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(400),
        answer(503),
        answer(302),
        answer_json({"error": "invalid_client"}, 401),
        answer_json({"error": "temporarily_unavailable"}, 400),
        reset,
        stall,
    ],
)
async def test_a_revocation_that_fails_says_so_in_time_and_never_raises(
    behaviour: Behaviour, time_passes: Callable[[float], None]
) -> None:
    async def late(request: Request, writer: asyncio.StreamWriter) -> None:
        if behaviour is stall:
            time_passes(WITHIN)
        await behaviour(request, writer)

    async with wire(revoke=late) as world, provider_of(world) as provider:
        await provider.metadata()
        refused = await provider.revoke("rt1", "refresh_token", within=WITHIN)
        assert isinstance(refused, NotRevoked)
        assert not refused.final
        assert world.count("/revoke") == 1


@pytest.mark.parametrize("error", ["unsupported_token_type", "invalid_request"])
async def test_a_revocation_that_is_refused_for_what_it_asks_is_not_asked_again(error: str) -> None:
    async with wire(revoke=answer_json({"error": error}, 400)) as world, provider_of(world) as provider:
        assert await provider.revoke("at1", "access_token", within=WITHIN) == NotRevoked(error, final=True)
        assert world.requests[-1].form == {"token": "at1", "token_type_hint": "access_token"}


async def test_a_provider_that_is_busy_says_when_a_revocation_may_come_again() -> None:
    later = answer(429, b"", {"Retry-After": "7"})
    async with wire(revoke=later) as world, provider_of(world) as provider:
        assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == NotRevoked("status 429", False, 7.0)


async def test_without_a_revocation_endpoint_nothing_is_revoked() -> None:
    async with wire() as world, provider_of(world) as provider:
        world.routes[DISCOVERY] = answer_json(discovery_document(world.issuer, revocation_endpoint=None))
        answered = await provider.revoke("rt1", "refresh_token", within=WITHIN)
        assert answered == NotRevoked("the provider has no revocation endpoint", final=True)


# --- each purpose has connections of its own


async def until_seen(world: Wire, path: str, count: int) -> None:
    async with asyncio.timeout(60):
        while world.count(path) < count:
            await asyncio.sleep(0.01)


async def test_a_flood_of_sign_ins_makes_no_refresh_and_no_revocation_wait() -> None:
    """More codes than there are connections for them, and a provider that answers none."""

    async def codes_stall(request: Request, writer: asyncio.StreamWriter) -> None:
        behaviour = stall if "code" in request.form else answer_json(GOOD_TOKENS)
        await behaviour(request, writer)

    async with wire(token=codes_stall) as world, provider_of(world, timeout=60.0) as provider:
        junk = [
            asyncio.create_task(provider.exchange_code(f"c{n}", redirect_uri="https://a", code_verifier="v"))
            for n in range(2 * SIGN_INS)
        ]
        await until_seen(world, "/token", SIGN_INS)
        assert isinstance(await refresh(provider, within=60.0), Granted)
        assert await provider.revoke("rt1", "refresh_token", within=60.0) == Revoked()
        assert not any(task.done() for task in junk)
        for task in junk:
            task.cancel()
        await asyncio.gather(*junk, return_exceptions=True)


async def test_revocations_that_hang_make_no_refresh_and_no_sign_in_wait() -> None:
    async with wire(revoke=stall) as world, provider_of(world) as provider:
        await provider.metadata()
        hanging = [
            asyncio.create_task(provider.revoke(f"rt{n}", "refresh_token", within=60.0)) for n in range(3 * REVOCATIONS)
        ]
        await until_seen(world, "/revoke", REVOCATIONS)
        assert isinstance(await refresh(provider, within=60.0), Granted)
        granted = await provider.exchange_code("c", redirect_uri="https://a", code_verifier="v")
        assert isinstance(granted, Granted)
        assert world.count("/revoke") == REVOCATIONS
        assert not any(task.done() for task in hanging)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)


async def test_as_many_refreshes_as_are_allowed_go_at_the_same_time() -> None:
    async with wire(token=stall) as world, provider_of(world, refreshes=60) as provider:
        waiting = [asyncio.create_task(refresh(provider, within=60.0)) for _ in range(60)]
        await until_seen(world, "/token", 60)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


# --- secrets stay where they belong


async def test_no_secret_reaches_a_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth = client_authentication("client_secret_post", "0oa1", secrets=["SECRET-one", "SECRET-two"])
    tokens = answer_json({**GOOD_TOKENS, "access_token": "SECRET-at", "refresh_token": "SECRET-rt2"})
    async with wire(token=tokens, userinfo=reset) as world, provider_of(world, auth) as provider:
        assert isinstance(await provider.refresh("SECRET-rt1", timeout=WITHIN), Granted)
        await provider.exchange_code("SECRET-code", redirect_uri="https://a", code_verifier="SECRET-verifier")
        await provider.revoke("SECRET-rt1", "refresh_token", within=WITHIN)
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.userinfo("SECRET-at")
        world.routes["/token"] = answer_json({"error": "invalid_client"}, 401)
        await provider.refresh("SECRET-rt1", timeout=WITHIN)
    assert "SECRET" not in str(caught.value)
    assert caplog.records
    for record in caplog.records:
        assert "SECRET" not in record.getMessage()
        assert "SECRET" not in repr(record.__dict__)


def _implements(provider: HttpProvider) -> OpenIDProvider:
    """For the type checker: the client is what the port says."""
    return provider
