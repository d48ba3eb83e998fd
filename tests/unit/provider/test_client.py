"""The provider as flows see it, over real sockets: tokens, client secrets, revocation, UserInfo."""

import base64
import json
import logging
from collections.abc import Callable

import pytest

from bff.errors import ProviderUnavailable
from bff.oidc.client_auth import client_authentication
from bff.oidc.dpop import new_dpop_key
from bff.oidc.provider import OpenIDProvider
from bff.oidc.token import Denied, Granted, NoAnswer, NotRevoked, Postponed, Revoked, TokenResult
from bff.oidc.userinfo import SignedUserInfo
from bff.provider.client import HttpProvider
from tests.harness.provider_server import (
    DISCOVERY,
    GOOD_TOKENS,
    TWO_SECRETS,
    WITHIN,
    Behaviour,
    answer,
    answer_json,
    client_of,
    late,
    only_with,
    provider_server,
    reset,
    secret_of,
    stall,
)
from tests.harness.raw_http import Request, Writer
from tests.harness.waiting import loop_turns

INVALID_CLIENT = answer_json({"error": "invalid_client"}, 401)


async def refresh(provider: OpenIDProvider, within: float = WITHIN) -> TokenResult:
    return await provider.refresh("rt1", timeout=within)


def assert_no_answer(result: TokenResult, *, may_have_been_sent: bool) -> None:
    assert isinstance(result, NoAnswer)
    assert result.may_have_been_sent is may_have_been_sent


# --- tokens


async def test_a_code_is_redeemed_with_its_verifier_and_the_client_secret() -> None:
    async with provider_server() as server, client_of(server) as provider:
        granted = await provider.exchange_code("c", redirect_uri="https://app.example/cb", code_verifier="v")
        assert isinstance(granted, Granted)
        assert granted.tokens.access_token == "at"
        request = server.requests[-1]
        assert request.method == "POST"
        assert secret_of(request) == "one"
        assert request.form == {
            "grant_type": "authorization_code",
            "code": "c",
            "redirect_uri": "https://app.example/cb",
            "code_verifier": "v",
        }


async def test_a_refresh_sends_the_token_in_the_body_and_nothing_in_the_url() -> None:
    async with provider_server() as server, client_of(server) as provider:
        granted = await refresh(provider)
        assert isinstance(granted, Granted)
        assert granted.tokens.refresh_token == "rt2"
        assert server.requests[-1].form == {"grant_type": "refresh_token", "refresh_token": "rt1"}
        assert server.requests[-1].target == "/token"


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
async def test_every_response_is_parsed_and_none_raised(behaviour: Behaviour, expected: TokenResult) -> None:
    async with provider_server(token=behaviour) as server, client_of(server) as provider:
        assert await refresh(provider) == expected
        assert server.count("/token") == 1


async def _half_an_answer(_: Request, writer: Writer) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 30\r\nconnection: close\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answer(400), Denied(400, "unspecified")),  # what some providers answer to a dead refresh token
        (_half_an_answer, Denied(400, "unreadable")),  # and what this is not
        (answer_json({"error": "invalid_grant"}, 403), Denied(403, "invalid_grant")),
    ],
    ids=["no body", "a body that was lost", "403"],
)
async def test_an_empty_body_differs_from_one_that_did_not_arrive(behaviour: Behaviour, expected: Denied) -> None:
    async with provider_server(token=behaviour) as server, client_of(server) as provider:
        assert await refresh(provider) == expected


async def test_a_refusal_carries_when_the_client_was_last_granted_a_token() -> None:
    refused = answer_json({"error": "invalid_request"}, 400)
    async with provider_server(token=refused) as server, client_of(server, TWO_SECRETS) as provider:

        async def granted_ago() -> float | None:
            answered = await refresh(provider)
            assert isinstance(answered, Denied)
            assert answered.proof is not None
            return answered.proof.granted_ago

        assert await granted_ago() is None
        server.routes["/token"] = answer_json(GOOD_TOKENS)
        await provider.client_token(["ssf.read"])  # works without what is needed for the tokens of a user
        server.routes["/token"] = refused
        assert await granted_ago() is None
        server.routes["/token"] = answer_json(GOOD_TOKENS)
        await provider.exchange_code("c", redirect_uri="https://app.example/cb", code_verifier="v")
        server.routes["/token"] = refused
        assert await granted_ago() is not None
        server.routes["/token"] = only_with("two", refused)  # the secret is being replaced: nothing is known of it
        assert await granted_ago() is None


async def test_tokens_for_apis_are_requested_with_client_authentication() -> None:
    async with provider_server() as server, client_of(server) as provider:
        granted = await provider.exchange_token("st", audience="orders", scope=("a",), timeout=WITHIN)
        assert isinstance(granted, Granted)
        exchange = server.requests[-1]
        assert (exchange.form["subject_token"], exchange.form["audience"], secret_of(exchange)) == (
            "st",
            "orders",
            "one",
        )
        assert_no_answer(
            await provider.exchange_token("st", audience="o", scope=(), timeout=WITHIN, may_send=lambda: False),
            may_have_been_sent=False,
        )
        assert isinstance(await provider.client_token(("a",), audience="reports"), Granted)
        assert server.requests[-1].form["audience"] == "reports"
        await provider.refresh("rt", timeout=WITHIN, resource="urn:stock")
        assert server.requests[-1].form["resource"] == "urn:stock"


async def test_a_stalled_refresh_is_given_up_at_its_own_deadline(advance_clock: Callable[[float], None]) -> None:
    async with (
        provider_server(token=late(stall, advance_clock, 8)) as server,
        client_of(server, timeout=60) as provider,
    ):
        await provider.metadata()
        assert_no_answer(await refresh(provider, within=8), may_have_been_sent=True)


async def test_metadata_that_does_not_arrive_proves_that_nothing_was_sent(
    advance_clock: Callable[[float], None],
) -> None:
    async with provider_server() as server, client_of(server, timeout=60) as provider:
        server.routes[DISCOVERY] = late(stall, advance_clock, 8)
        assert_no_answer(await refresh(provider, within=8), may_have_been_sent=False)


@pytest.mark.case("RF-001")
async def test_a_token_endpoint_that_is_down_proves_that_nothing_was_sent() -> None:
    async with provider_server() as gone:
        away = f"{gone.issuer}/token"
    async with provider_server({"token_endpoint": away}) as server, client_of(server) as provider:
        assert_no_answer(await refresh(provider), may_have_been_sent=False)


# --- client secrets


@pytest.mark.case("RF-032")
async def test_the_second_secret_is_tried_in_the_same_call_and_remembered() -> None:
    def tried() -> list[str]:
        return [secret_of(request) for request in server.to("/token")]

    async with (
        provider_server(token=only_with("two", answer_json(GOOD_TOKENS))) as server,
        client_of(server, TWO_SECRETS) as provider,
    ):
        for _ in range(3):
            assert isinstance(await refresh(provider), Granted)
        assert tried() == ["one", "two", "two", "two"]
        server.routes["/token"] = only_with("one", answer_json(GOOD_TOKENS))
        for _ in range(2):
            assert isinstance(await refresh(provider), Granted)
        assert tried()[4:] == ["two", "one", "one"]
        assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()
        assert secret_of(server.requests[-1]) == "one"


@pytest.mark.parametrize(
    ("behaviour", "denied", "attempts"),
    [
        (only_with("three", answer(200)), Denied(401, "invalid_client"), 2),
        (answer_json({"error": "unauthorized_client"}, 401), Denied(401, "unauthorized_client"), 2),  # Keycloak
        (answer(401), Denied(401, "unspecified"), 2),
        (answer_json({"error": "invalid_client"}, 400), Denied(400, "invalid_client"), 2),
        (answer_json({"error": "use_dpop_nonce"}, 401), Denied(401, "use_dpop_nonce"), 1),
        (answer_json({"error": "unauthorized_client"}, 400), Denied(400, "unauthorized_client"), 1),
        (answer_json({"error": "invalid_grant"}, 400), Denied(400, "invalid_grant"), 1),
    ],
)
async def test_each_secret_is_tried_once_and_only_after_a_refusal_of_the_client(
    behaviour: Behaviour, denied: Denied, attempts: int
) -> None:
    async with provider_server(token=behaviour) as server, client_of(server, TWO_SECRETS) as provider:
        assert await refresh(provider) == denied
        assert server.count("/token") == attempts


@pytest.mark.parametrize(
    ("response", "remembered"),
    [
        (answer_json({"error": "invalid_grant"}, 400), True),
        (answer_json({"error": "invalid_request"}, 400), False),
        (answer(503), False),
    ],
)
async def test_only_a_response_that_proves_the_client_makes_its_secret_the_first(
    response: Behaviour, remembered: bool
) -> None:
    async with (
        provider_server(token=only_with("two", response)) as server,
        client_of(server, TWO_SECRETS) as provider,
    ):
        for _ in range(2):
            await refresh(provider)
        tried = [secret_of(request) for request in server.to("/token")]
    assert tried == ["one", "two", *(["two"] if remembered else ["one", "two"])]


async def test_the_second_secret_is_not_sent_when_it_is_too_late() -> None:
    allowed = iter([True, False])
    async with provider_server(token=INVALID_CLIENT) as server, client_of(server, TWO_SECRETS) as provider:
        result = await provider.refresh("rt1", timeout=WITHIN, may_send=lambda: next(allowed))
        assert_no_answer(result, may_have_been_sent=False)  # what was sent was refused, and consumed nothing
        assert server.count("/token") == 1


# --- UserInfo


async def test_userinfo_is_requested_with_the_access_token() -> None:
    async with provider_server() as server, client_of(server) as provider:
        assert await provider.userinfo("at") == {"sub": "00u1"}
        assert server.requests[-1].headers["authorization"] == "Bearer at"
        assert server.requests[-1].method == "GET"


async def test_a_signed_userinfo_response_is_returned_as_it_is() -> None:
    for content_type in ("application/jwt", "Application/JWT; charset=utf-8"):
        signed = answer(200, b"a.b.c\n", headers={"content-type": content_type})
        async with provider_server(userinfo=signed) as server, client_of(server) as provider:
            assert await provider.userinfo("at") == SignedUserInfo("a.b.c")


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(200, "é.b.c".encode(), headers={"content-type": "application/jwt"}),
        answer(401),
        answer(500),
        answer(200, b"[]"),
        answer(200, b"a.b.c"),
        answer(302),
        answer(200, b"x" * 999_999),
        reset,
        stall,
    ],
)
async def test_unusable_userinfo_is_a_provider_that_is_unavailable(
    behaviour: Behaviour, advance_clock: Callable[[float], None]
) -> None:
    userinfo = late(stall, advance_clock) if behaviour is stall else behaviour
    async with provider_server(userinfo=userinfo) as server, client_of(server) as provider:
        await provider.metadata()
        with pytest.raises(ProviderUnavailable):
            await provider.userinfo("at")


@pytest.mark.parametrize(
    ("status", "challenge", "nonce", "attempts", "granted"),
    [
        (401, 'DPoP error="use_dpop_nonce"', "n-1", 2, True),
        (401, 'DPoP error="use_dpop_nonce"', "never", 2, False),
        (401, 'Bearer error="invalid_token"', "n-1", 1, False),
        (400, 'DPoP error="use_dpop_nonce"', "n-1", 1, False),
    ],
)
async def test_userinfo_that_requires_a_nonce_gets_it_once(
    status: int, challenge: str, nonce: str, attempts: int, granted: bool
) -> None:
    """RFC 9449 section 9."""
    refusal = answer(status, headers={"www-authenticate": challenge, "dpop-nonce": "n-1"})

    async def only_with_nonce(request: Request, writer: Writer) -> None:
        proof = json.loads(base64.urlsafe_b64decode(request.headers["dpop"].split(".")[1] + "=="))
        await (answer_json({"sub": "00u1"}) if proof.get("nonce") == nonce else refusal)(request, writer)

    async with provider_server(userinfo=only_with_nonce) as server, client_of(server) as provider:
        if granted:
            assert await provider.userinfo("at", dpop_key=new_dpop_key()) == {"sub": "00u1"}
        else:
            with pytest.raises(ProviderUnavailable):
                await provider.userinfo("at", dpop_key=new_dpop_key())
        proofs = [request.headers["dpop"] for request in server.to("/userinfo")]
    assert len(set(proofs)) == len(proofs) == attempts


# --- revocation


async def test_a_token_is_revoked_as_the_client() -> None:
    async with provider_server() as server, client_of(server) as provider:
        assert await provider.revoke("rt1", "refresh_token", within=WITHIN) == Revoked()
        assert server.requests[-1].target == "/revoke"
        assert server.requests[-1].form == {"token": "rt1", "token_type_hint": "refresh_token"}
        assert secret_of(server.requests[-1]) == "one"


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(400),
        answer(503),
        answer(302),
        INVALID_CLIENT,
        answer_json({"error": "temporarily_unavailable"}, 400),
        reset,
        stall,
    ],
)
async def test_a_failed_revocation_is_reported_in_time_and_never_raised(
    behaviour: Behaviour, advance_clock: Callable[[float], None]
) -> None:
    revoke = late(stall, advance_clock) if behaviour is stall else behaviour
    async with provider_server(revoke=revoke) as server, client_of(server) as provider:
        await provider.metadata()
        result = await provider.revoke("rt1", "refresh_token", within=WITHIN)
        assert isinstance(result, NotRevoked)
        assert not result.final
        assert server.count("/revoke") == 1


@pytest.mark.parametrize(
    ("revoke", "result"),
    [
        (answer_json({"error": "invalid_request"}, 400), NotRevoked("invalid_request", final=True)),
        (answer_json({"error": "unsupported_token_type"}, 400), NotRevoked("unsupported_token_type", final=True)),
        (answer(429, b"", {"Retry-After": "7"}), NotRevoked("status 429", False, 7.0)),
    ],
)
async def test_a_revocation_is_refused_for_good_or_postponed(revoke: Behaviour, result: NotRevoked) -> None:
    async with provider_server(revoke=revoke) as server, client_of(server) as provider:
        assert await provider.revoke("at1", "access_token", within=WITHIN) == result
        assert server.requests[-1].form == {"token": "at1", "token_type_hint": "access_token"}


async def test_without_a_revocation_endpoint_nothing_is_revoked() -> None:
    async with provider_server({"revocation_endpoint": None}) as server, client_of(server) as provider:
        result = await provider.revoke("rt1", "refresh_token", within=WITHIN)
    assert result == NotRevoked("the provider has no revocation endpoint", final=True)


# --- secrets stay where they belong


async def test_no_secret_reaches_a_log_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    auth = client_authentication("client_secret_post", "0oa1", secrets=["SECRET-one", "SECRET-two"])
    tokens = answer_json({**GOOD_TOKENS, "access_token": "SECRET-at", "refresh_token": "SECRET-rt2"})
    async with provider_server(token=tokens, userinfo=reset) as server, client_of(server, auth) as provider:
        assert isinstance(await provider.refresh("SECRET-rt1", timeout=WITHIN), Granted)
        await provider.exchange_code("SECRET-code", redirect_uri="https://a", code_verifier="SECRET-verifier")
        await provider.revoke("SECRET-rt1", "refresh_token", within=WITHIN)
        with pytest.raises(ProviderUnavailable) as caught:
            await provider.userinfo("SECRET-at")
        server.routes["/token"] = INVALID_CLIENT
        await provider.refresh("SECRET-rt1", timeout=WITHIN)
    assert "SECRET" not in str(caught.value)
    assert caplog.records
    for record in caplog.records:
        assert "SECRET" not in record.getMessage()
        assert "SECRET" not in repr(record.__dict__)


def _implements(provider: HttpProvider) -> OpenIDProvider:
    """For the type checker: the client implements the port."""
    return provider


async def test_both_secrets_share_one_deadline(advance_clock: Callable[[float], None]) -> None:
    """Each attempt alone would be in time, both together are not."""

    async def slowly(request: Request, writer: Writer) -> None:
        advance_clock(0.7 * WITHIN)
        await loop_turns(50)
        await only_with("two", answer_json(GOOD_TOKENS))(request, writer)

    async with provider_server(token=slowly) as server, client_of(server, TWO_SECRETS) as provider:
        await provider.metadata()
        assert_no_answer(await refresh(provider), may_have_been_sent=True)


async def test_replaced_secrets_are_used_from_the_next_request_on() -> None:
    async with provider_server() as server, client_of(server) as provider:
        provider.replace_client_auth(client_authentication("client_secret_basic", "0oa1", secrets=["new"]))
        await refresh(provider)
        assert secret_of(server.requests[-1]) == "new"
