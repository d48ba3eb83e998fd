"""The authorization response becomes a session, or says what became of it."""

import asyncio
import json
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

import pytest

from bff.errors import BffError, SignInStateInvalid
from bff.flows.build_session import BuildSession
from bff.flows.offline_access import OfflineAccess
from bff.flows.sign_in import AlreadyUsed, AuthorizationCodeFlow, Client, NotSignedIn, SignedIn, SignedOutMeanwhile
from bff.oidc.authorization import AuthorizationError, Code
from bff.oidc.dpop import dpop_proof
from bff.oidc.jwks import parse_key_set
from bff.oidc.token import Denied, Granted, NoAnswer, Postponed, TokenResponse, TokenResult
from bff.oidc.userinfo import SignedUserInfo
from bff.session.login_transaction import LoginTransaction, begin, provider_fingerprint
from bff.session.session import EndReason
from bff.session.sign_in_intent import SignInIntent
from tests.harness.encrypting import encrypted
from tests.harness.minting import (
    CLIENT_ID,
    EC_KEY,
    EC_KEY_384,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    SUB,
    jwk,
    jwks,
    mint,
    private_jwk,
)
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts

CODE = Code("code", "state")


class SignIn:
    def __init__(self, parts: Parts, *, prompt: str | None = None) -> None:
        self.parts = parts
        self.offline_access = OfflineAccess(parts.settings.provider.scopes)
        build = BuildSession(parts.store, parts.id_tokens, self.offline_access, parts.settings, clock=parts.data.clock)
        self.flow = AuthorizationCodeFlow(parts.store, parts.provider, build, parts.establish, parts.settings)
        self.transaction: LoginTransaction = begin(
            now=parts.data.clock(),
            provider=provider_fingerprint(ISSUER, parts.settings.browser.redirect_uri),
            intent=SignInIntent("/home", prompt=prompt),
        )

    def granted(self, *, access_token: str = "at", expires_in: int = 3600, **claims: Any) -> Granted:
        id_token = self.parts.id_token(**{"nonce": self.transaction.nonce, **claims})
        return Granted(TokenResponse(access_token, expires_in, "rt", id_token, "openid"))

    async def finish(self, answer: Code | AuthorizationError = CODE, token: TokenResult | None = None) -> object:
        self.parts.provider.answers = [token or self.granted()]
        client = Client("Firefox", "203.0.113.7")
        return await self.flow.finish(answer, self.transaction, browser="browser", client=client)

    async def code(self, answer: Code | AuthorizationError = CODE, token: TokenResult | None = None) -> str:
        with pytest.raises(BffError) as refused:
            await self.finish(answer, token)
        return refused.value.code


async def test_a_sign_in_records_whether_there_is_a_refresh_token(parts: Parts) -> None:
    for refresh_token, granted in (("rt", True), (None, False)):
        sign_in = SignIn(parts)
        id_token = parts.id_token(nonce=sign_in.transaction.nonce)
        response = Granted(TokenResponse("at", 3600, refresh_token, id_token, "openid"))
        assert isinstance(await sign_in.finish(token=response), SignedIn)
        assert sign_in.offline_access.granted is granted


@pytest.fixture
def sign_in(parts: Parts) -> SignIn:
    return SignIn(parts)


async def test_a_sign_in_stores_a_session_with_what_the_response_says(parts: Parts, sign_in: SignIn) -> None:
    expiry = int(parts.now) + 1000
    done = await sign_in.finish(token=sign_in.granted(sid="sid", acr="acr", session_expiry=expiry, email="a@b.example"))
    assert isinstance(done, SignedIn)
    assert done.return_to == "/home"
    session = await parts.stored(done.session)
    assert session == done.session
    assert (session.key, session.user.sub, session.user.email) == (done.session_id.key, SUB, "a@b.example")
    assert (session.sid, session.acr, session.ends_at) == ("sid", "acr", expiry)
    assert (session.browser, session.client, session.address) == ("browser", "Firefox", "203.0.113.7")
    assert (session.tokens.access_token, session.tokens.refresh_token) == ("at", "rt")


@pytest.mark.parametrize(
    ("error", "description", "code"),
    [
        ("access_denied", "", "sign_in_refused"),
        ("access_denied", "User is not assigned to the client application.", "not_assigned"),
        ("login_required", "", "sign_in_refused"),
        ("server_error", "", "provider_unavailable"),
        ("temporarily_unavailable", "", "provider_unavailable"),
        ("invalid_scope", "", "sign_in_failed"),
        ("<script>", "", "sign_in_failed"),
    ],
)
async def test_an_error_of_the_authorization_endpoint(sign_in: SignIn, error: str, description: str, code: str) -> None:
    assert await sign_in.code(AuthorizationError(error, description)) == code
    assert sign_in.parts.provider.exchanged == []


async def test_every_error_that_only_the_user_can_resolve_is_a_refusal(sign_in: SignIn) -> None:
    errors = "login_required consent_required interaction_required mfa_required account_selection_required"
    for error in (*errors.split(), "unmet_authentication_requirements"):
        sign_in = SignIn(sign_in.parts)
        assert await sign_in.code(AuthorizationError(error)) == "sign_in_refused", error


@pytest.mark.parametrize(("error", "silent"), [("login_required", True), ("server_error", True), ("other", False)])
async def test_a_silent_check_changes_no_session(parts: Parts, error: str, silent: bool) -> None:
    sign_in = SignIn(parts, prompt="none")
    if silent:
        assert await sign_in.finish(AuthorizationError(error)) == NotSignedIn("/home")
    else:
        assert await sign_in.code(AuthorizationError(error)) == "sign_in_failed"


@pytest.mark.case("AZ-057")
@pytest.mark.parametrize(
    ("token", "code"),
    [
        (Denied(400, "access_denied"), "sign_in_refused"),
        (Denied(400, "invalid_grant"), "sign_in_failed"),
        (Postponed(7.0), "provider_unavailable"),
        (NoAnswer(may_have_been_sent=True), "provider_unavailable"),
        (Granted(TokenResponse("at", 60, "rt")), "sign_in_failed"),
    ],
)
async def test_an_answer_of_the_token_endpoint(sign_in: SignIn, token: TokenResult, code: str) -> None:
    assert await sign_in.code(token=token) == code
    assert sign_in.parts.data.sessions == {}


@pytest.mark.case("AZ-024")
@pytest.mark.parametrize(
    "wrong", [{"nonce": "another"}, {"aud": "another"}, {"session_expiry": 5}, {"exp": 5}], ids=str
)
async def test_a_response_that_cannot_be_used_is_revoked(parts: Parts, sign_in: SignIn, wrong: dict[str, Any]) -> None:
    assert await sign_in.code(token=sign_in.granted(**wrong)) == "sign_in_failed"
    await parts.settled()
    assert parts.data.sessions == {}
    assert parts.provider.revoked == ["rt"]


async def test_a_response_counts_once(parts: Parts, sign_in: SignIn) -> None:
    first, second = await asyncio.gather(sign_in.finish(), sign_in.finish())
    assert {type(first), type(second)} == {SignedIn, AlreadyUsed}
    assert await sign_in.finish(AuthorizationError("server_error")) == AlreadyUsed("/home")
    assert len(parts.provider.exchanged) == 1


@pytest.mark.case("AZ-029")
@pytest.mark.parametrize("wrong", ["another provider", "another iss"])
async def test_a_response_of_another_provider_is_refused_and_not_consumed(
    parts: Parts, sign_in: SignIn, wrong: str
) -> None:
    right = sign_in.transaction
    if wrong == "another provider":
        sign_in.transaction = replace(right, provider=provider_fingerprint("https://another.example", "https://x"))
    with pytest.raises(SignInStateInvalid):
        await sign_in.finish(replace(CODE, iss="https://another.example") if wrong == "another iss" else CODE)
    sign_in.transaction = right
    assert isinstance(await sign_in.finish(), SignedIn)


async def test_a_logout_during_the_sign_in_wins_and_its_tokens_are_revoked(parts: Parts, sign_in: SignIn) -> None:
    parts.provider.delay = 5.0
    signing_in = asyncio.create_task(sign_in.finish(token=sign_in.granted()))
    await time_passes(1)
    await parts.end_sessions.of_user("sub", SUB, EndReason.BACK_CHANNEL)
    assert await signing_in == SignedOutMeanwhile("/home")
    await parts.settled()
    assert parts.data.sessions == {}
    assert parts.provider.revoked == ["rt"]


async def test_a_store_that_fails_loses_no_tokens(parts: Parts, sign_in: SignIn) -> None:
    parts.provider.delay = 5.0
    signing_in = asyncio.create_task(sign_in.code(token=sign_in.granted()))
    await time_passes(1)
    parts.data.down = True
    assert await signing_in == "store_unavailable"
    parts.data.down = False
    await parts.settled()
    assert parts.provider.revoked == ["rt"]


@pytest.mark.case("AZ-066")
@pytest.mark.parametrize(
    ("claims", "groups"),
    [({"sub": SUB, "groups": ["a"], "name": "of UserInfo"}, ["a"]), ({}, None), ({"sub": "another"}, None)],
)
async def test_claims_that_the_id_token_lacks_come_from_userinfo(
    claims: dict[str, Any], groups: list[str] | None
) -> None:
    parts = Parts(user_claims="sub name groups")
    parts.provider.document = replace(parts.provider.document, userinfo_endpoint=f"{ISSUER}/v1/userinfo")
    parts.provider.claims = claims
    sign_in = SignIn(parts)
    if claims.get("sub") == "another":
        assert await sign_in.code() == "sign_in_failed"
        return
    done = await sign_in.finish(token=sign_in.granted(name="of the ID token"))
    assert isinstance(done, SignedIn)
    assert done.session.user.claims.get("groups") == groups
    assert done.session.user.claims["name"] == "of the ID token"


@pytest.mark.parametrize(
    ("encryption", "key", "encrypts", "reason"),
    [
        ("required", EC_KEY, True, None),
        ("optional", EC_KEY, True, None),
        ("optional", EC_KEY, False, None),
        ("required", EC_KEY, False, "BFF_ID_TOKEN_ENCRYPTION"),
        ("optional", EC_KEY_384, True, "cannot be decrypted"),
    ],
)
async def test_an_encrypted_id_token(
    caplog: pytest.LogCaptureFixture, encryption: str, key: Any, encrypts: bool, reason: str | None
) -> None:
    parts = Parts(decryption_keys=json.dumps(private_jwk(EC_KEY)), id_token_encryption=encryption)
    sign_in = SignIn(parts)
    signed = sign_in.granted()
    sent = signed
    if encrypts:
        compact = encrypted(signed.tokens.id_token or "", key, alg="ECDH-ES+A256KW")
        sent = Granted(replace(signed.tokens, id_token=compact))
    if reason is None:
        done = await sign_in.finish(token=sent)
        assert isinstance(done, SignedIn)
        assert done.session.tokens.id_token == signed.tokens.id_token  # the hint of a sign-out is the signed token
    else:
        assert await sign_in.code(token=sent) == "sign_in_failed"
        assert any(reason in str(vars(record)) for record in caplog.records)


async def test_an_encrypted_id_token_without_a_key_says_what_to_set(caplog: pytest.LogCaptureFixture) -> None:
    sign_in = SignIn(Parts())
    compact = encrypted(sign_in.granted().tokens.id_token or "", EC_KEY, alg="ECDH-ES")
    assert await sign_in.code(token=Granted(replace(sign_in.granted().tokens, id_token=compact))) == "sign_in_failed"
    assert any("BFF_DECRYPTION_KEYS" in str(vars(record)) for record in caplog.records)


def signed_userinfo(key: Any = RSA_KEY, kid: str = "k1", **claims: Any) -> str:
    return mint({"sub": SUB, "groups": ["a"], **claims}, {"alg": "RS256", "kid": kid}, key=key)


@pytest.mark.parametrize(
    ("compact", "groups"),
    [
        (signed_userinfo(), ["a"]),
        (signed_userinfo(iss=ISSUER, aud=["another", CLIENT_ID], exp=2_000_000_000), ["a"]),
        (signed_userinfo(OTHER_RSA_KEY, "k2"), ["a"]),  # published since the last fetch
        (encrypted(signed_userinfo(), EC_KEY, alg="ECDH-ES"), ["a"]),
        *[(signed_userinfo(**wrong), None) for wrong in ({"iss": "https://x"}, {"aud": "another"}, {"aud": []})],
        *[(signed_userinfo(exp=exp), None) for exp in (5, None, "tomorrow")],
        (signed_userinfo(OTHER_RSA_KEY), None),
        (encrypted(signed_userinfo(), EC_KEY_384, alg="ECDH-ES"), None),
        *[(text, None) for text in ("", "a.b.c", '{"sub":"x"}')],
        (signed_userinfo(sub="another"), "sign_in_failed"),
    ],
)
async def test_signed_userinfo_counts_only_if_its_signature_does(compact: str, groups: Any) -> None:
    parts = Parts(userinfo="always", user_claims="sub groups", decryption_keys=json.dumps(private_jwk(EC_KEY)))
    parts.provider.document = replace(parts.provider.document, userinfo_endpoint=f"{ISSUER}/v1/userinfo")
    parts.provider.key_sets.append(parse_key_set(jwks(jwk(RSA_KEY), jwk(OTHER_RSA_KEY, "k2"))))
    parts.provider.claims = SignedUserInfo(compact)
    sign_in = SignIn(parts)
    id_token = encrypted(sign_in.granted().tokens.id_token or "", EC_KEY, alg="ECDH-ES")
    token = Granted(replace(sign_in.granted().tokens, id_token=id_token))
    if groups == "sign_in_failed":
        assert await sign_in.code(token=token) == groups
        return
    done = await sign_in.finish(token=token)
    assert isinstance(done, SignedIn)
    assert done.session.user.claims.get("groups") == groups


@pytest.mark.parametrize(
    ("userinfo", "user_claims", "email"),
    [
        ("always", "sub email", "of UserInfo"),
        ("auto", "sub email", None),  # a provider's ID token has these four if it has them at all
        ("never", "sub email groups", None),
        ("auto", "sub email groups", "of UserInfo"),
    ],
)
async def test_userinfo_is_asked_always_if_needed_or_never(userinfo: str, user_claims: str, email: str | None) -> None:
    parts = Parts(userinfo=userinfo, user_claims=user_claims)
    parts.provider.document = replace(parts.provider.document, userinfo_endpoint=f"{ISSUER}/v1/userinfo")
    parts.provider.claims = {"sub": SUB, "email": "of UserInfo"}
    sign_in = SignIn(parts)
    done = await sign_in.finish(token=sign_in.granted())
    assert isinstance(done, SignedIn)
    assert done.session.user.claims.get("email") == email


@pytest.mark.parametrize(
    ("offered", "alg"), [(("PS256", "ES256"), "ES256"), (("EdDSA", "PS256"), "EdDSA"), (("PS256",), "PS256")]
)
def test_tokens_are_bound_to_a_key_for_an_algorithm_of_the_provider(offered: tuple[str, ...], alg: str) -> None:
    async def key_of_the_session() -> str:
        parts = Parts(dpop="on")
        parts.provider.document = replace(parts.provider.document, dpop_signing_alg_values_supported=offered)
        done = await SignIn(parts).finish()
        assert isinstance(done, SignedIn)
        return (await parts.stored(done.session)).dpop_key or ""

    key = asyncio.run(key_of_the_session())  # on a real loop: an RSA key is made in a thread
    proof = dpop_proof(key, method="GET", url="https://api.example/", now=0, jti="j1")
    assert json.loads(urlsafe_b64decode(proof.split(".")[0] + "==="))["alg"] == alg
