"""DPoP at the token endpoint (RFC 9449 sections 5 and 8), over real sockets."""

import json
from typing import Any

import pytest
from jose import jws

from bff.oidc.dpop import new_dpop_key
from bff.oidc.token import Denied, Granted, NoAnswer, TokenResult
from bff.provider.client import HttpProvider
from tests.harness.provider_server import (
    GOOD_TOKENS,
    TWO_SECRETS,
    WITHIN,
    Behaviour,
    answer_json,
    client_of,
    only_with,
    provider_server,
    secret_of,
)
from tests.harness.raw_http import Request, Writer

KEY = new_dpop_key()
BOUND = answer_json({**GOOD_TOKENS, "token_type": "DPoP"})
USE_NONCE = Denied(400, "use_dpop_nonce")


def proof_of(request: Request) -> dict[str, Any]:
    compact = request.headers["dpop"]
    header = jws.get_unverified_header(compact)
    claims: dict[str, Any] = json.loads(jws.verify(compact, header["jwk"], ["ES256"]))
    return claims


def wants(nonce: str, then: Behaviour) -> Behaviour:
    async def send(request: Request, writer: Writer) -> None:
        refused = answer_json({"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": nonce})
        await (then if proof_of(request).get("nonce") == nonce else refused)(request, writer)

    return send


async def refresh(provider: HttpProvider, **options: Any) -> TokenResult:
    return await provider.refresh("rt1", **{"timeout": WITHIN, "dpop_key": KEY, **options})


async def test_the_nonce_is_learnt_once_and_every_request_has_a_proof_of_its_own() -> None:
    async with provider_server(token=wants("n1", BOUND)) as server, client_of(server) as provider:
        redeemed = await provider.exchange_code("c", redirect_uri="https://a/cb", code_verifier="v", dpop_key=KEY)
        assert isinstance(redeemed, Granted)
        assert isinstance(await refresh(provider), Granted)
        proofs = [proof_of(request) for request in server.to("/token")]
    assert [proof.get("nonce") for proof in proofs] == [None, "n1", "n1"]
    assert len({proof["jti"] for proof in proofs}) == 3
    assert {(proof["htm"], proof["htu"]) for proof in proofs} == {("POST", f"{server.issuer}/token")}
    assert not any("ath" in proof for proof in proofs)


async def test_a_nonce_that_always_changes_is_followed_once() -> None:
    async def never_content(request: Request, writer: Writer) -> None:
        nonce = {"DPoP-Nonce": f"n{server.count('/token')}"}
        await answer_json({"error": "use_dpop_nonce"}, 400, nonce)(request, writer)

    async with provider_server(token=never_content) as server, client_of(server) as provider:
        assert await refresh(provider) == USE_NONCE
        assert server.count("/token") == 2
        await refresh(provider)
        assert proof_of(server.to("/token")[2])["nonce"] == "n2"  # the latest is kept


async def test_the_repeated_request_is_not_sent_when_it_is_too_late() -> None:
    allowed = iter([True, False])
    async with provider_server(token=wants("n1", BOUND)) as server, client_of(server) as provider:
        result = await refresh(provider, may_send=lambda: next(allowed))
        assert isinstance(result, NoAnswer)
        assert not result.may_have_been_sent
        assert server.count("/token") == 1


@pytest.mark.parametrize("headers", [{}, {"DPoP-Nonce": "not a nonce"}, {"DPoP-Nonce": ""}])
async def test_a_refusal_without_a_usable_nonce_is_not_repeated(headers: dict[str, str]) -> None:
    refused = answer_json({"error": "use_dpop_nonce"}, 400, headers)
    async with provider_server(token=refused) as server, client_of(server) as provider:
        assert await refresh(provider) == USE_NONCE
        assert server.count("/token") == 1


async def test_a_nonce_and_a_second_secret_are_both_followed() -> None:
    behaviour = wants("n1", only_with("two", BOUND))
    async with provider_server(token=behaviour) as server, client_of(server, TWO_SECRETS) as provider:
        assert isinstance(await refresh(provider), Granted)
        assert [secret_of(request) for request in server.to("/token")] == ["one", "one", "two"]


@pytest.mark.parametrize(("bound", "token_type"), [(True, "Bearer"), (False, "DPoP")])
async def test_an_access_token_of_the_wrong_type_is_dropped_and_its_refresh_token_kept(
    bound: bool, token_type: str
) -> None:
    tokens = answer_json({**GOOD_TOKENS, "token_type": token_type})
    async with provider_server(token=tokens) as server, client_of(server) as provider:
        result = await refresh(provider, dpop_key=KEY if bound else None)
        assert isinstance(result, Granted)
        assert result.tokens.access_token is None
        assert result.tokens.refresh_token == "rt2"
        assert "token_type" in result.tokens.problem
        assert ("dpop" in server.requests[-1].headers) is bound


async def test_userinfo_is_requested_with_a_proof_for_the_token() -> None:
    async with provider_server() as server, client_of(server) as provider:
        await provider.userinfo("at", dpop_key=KEY)
        request = server.requests[-1]
    assert request.headers["authorization"] == "DPoP at"
    assert proof_of(request)["htm"] == "GET"
    assert proof_of(request)["ath"]
