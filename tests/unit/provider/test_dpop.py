"""DPoP at the token endpoint (RFC 9449 sections 5 and 8), over real sockets."""

import asyncio
import json
from typing import Any

import pytest
from jose import jws

from bff.oidc.dpop import new_dpop_key
from bff.oidc.token import Denied, Granted, NoAnswer
from tests.harness.provider_wire import GOOD_TOKENS, WITHIN, Behaviour, Request, Wire, answer_json, wire
from tests.unit.provider.test_client import TWO_SECRETS, only_with, provider_of, secret_of

KEY = new_dpop_key()
BOUND = {**GOOD_TOKENS, "token_type": "DPoP"}


def proof_of(request: Request) -> dict[str, Any]:
    compact = request.headers["dpop"]
    header = jws.get_unverified_header(compact)
    claims: dict[str, Any] = json.loads(jws.verify(compact, header["jwk"], ["ES256"]))
    return claims


def wants(nonce: str, then: Behaviour) -> Behaviour:
    async def send(request: Request, writer: asyncio.StreamWriter) -> None:
        refused = answer_json({"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": nonce})
        await (then if proof_of(request).get("nonce") == nonce else refused)(request, writer)

    return send


def token_requests(world: Wire) -> list[Request]:
    return [request for request in world.requests if request.path == "/token"]


async def test_the_nonce_is_learnt_once_and_every_request_has_a_proof_of_its_own() -> None:
    async with wire(token=wants("n1", answer_json(BOUND))) as world, provider_of(world) as provider:
        redeemed = await provider.exchange_code("c", redirect_uri="https://a/cb", code_verifier="v", dpop_key=KEY)
        assert isinstance(redeemed, Granted)
        assert isinstance(await provider.refresh("rt1", timeout=WITHIN, dpop_key=KEY), Granted)
        proofs = [proof_of(request) for request in token_requests(world)]
        assert [proof.get("nonce") for proof in proofs] == [None, "n1", "n1"]
        assert len({proof["jti"] for proof in proofs}) == 3
        assert {(proof["htm"], proof["htu"]) for proof in proofs} == {("POST", f"{world.issuer}/token")}
        assert not any("ath" in proof for proof in proofs)


async def test_a_nonce_that_changes_for_ever_is_followed_once() -> None:
    asked = 0

    async def never_content(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await answer_json({"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": f"n{asked}"})(request, writer)

    async with wire(token=never_content) as world, provider_of(world) as provider:
        assert await provider.refresh("rt1", timeout=WITHIN, dpop_key=KEY) == Denied(400, "use_dpop_nonce")
        assert asked == 2
        await provider.refresh("rt1", timeout=WITHIN, dpop_key=KEY)
        assert proof_of(token_requests(world)[2])["nonce"] == "n2", "the latest is kept for the next call"


async def test_the_second_send_asks_again_whether_it_may() -> None:
    """The nonce's round trip may take so long that an answer would come after the lease."""
    asked = 0

    def once() -> bool:
        nonlocal asked
        asked += 1
        return asked == 1

    async with wire(token=wants("n1", answer_json(BOUND))) as world, provider_of(world) as provider:
        answer = await provider.refresh("rt1", timeout=WITHIN, may_send=once, dpop_key=KEY)
        assert isinstance(answer, NoAnswer)
        assert not answer.may_have_been_sent
        assert len(token_requests(world)) == 1


@pytest.mark.parametrize("headers", [{}, {"DPoP-Nonce": "not a nonce"}, {"DPoP-Nonce": ""}])
async def test_a_refusal_without_a_usable_nonce_is_not_repeated(headers: dict[str, str]) -> None:
    refused = answer_json({"error": "use_dpop_nonce"}, 400, headers)
    async with wire(token=refused) as world, provider_of(world) as provider:
        assert await provider.refresh("rt1", timeout=WITHIN, dpop_key=KEY) == Denied(400, "use_dpop_nonce")
        assert len(token_requests(world)) == 1


async def test_the_nonce_and_the_other_secret_do_not_get_in_each_others_way() -> None:
    behaviour = wants("n1", only_with("two", answer_json(BOUND)))
    async with wire(token=behaviour) as world, provider_of(world, TWO_SECRETS) as provider:
        assert isinstance(await provider.refresh("rt1", timeout=WITHIN, dpop_key=KEY), Granted)
        assert [secret_of(request) for request in token_requests(world)] == ["one", "one", "two"]


@pytest.mark.parametrize(("bound", "kind"), [(True, "Bearer"), (False, "DPoP")])
async def test_a_token_of_the_other_kind_is_no_token_but_its_refresh_token_is_kept(bound: bool, kind: str) -> None:
    async with wire(token=answer_json({**GOOD_TOKENS, "token_type": kind})) as world, provider_of(world) as provider:
        answer = await provider.refresh("rt1", timeout=WITHIN, dpop_key=KEY if bound else None)
        assert isinstance(answer, Granted)
        assert answer.tokens.access_token is None
        assert answer.tokens.refresh_token == "rt2"
        assert "token_type" in answer.tokens.problem


async def test_without_a_key_no_proof_is_made() -> None:
    async with wire() as world, provider_of(world) as provider:
        assert isinstance(await provider.refresh("rt1", timeout=WITHIN), Granted)
        assert "dpop" not in token_requests(world)[0].headers


async def test_userinfo_is_asked_with_a_proof_for_the_token() -> None:
    async with wire() as world, provider_of(world) as provider:
        await provider.userinfo("at", dpop_key=KEY)
        request = world.requests[-1]
        assert request.headers["authorization"] == "DPoP at"
        assert proof_of(request)["htm"] == "GET"
        assert proof_of(request)["ath"]
