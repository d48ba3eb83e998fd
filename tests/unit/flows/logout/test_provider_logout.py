"""Logout requests of the provider: which tokens count, how often, and which sessions end."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from bff.errors import BffError, RevocationRefused, StoreUnavailable
from bff.flows.logout.provider_logout import ProviderLogoutFlow
from bff.oidc.global_token_revocation import EmailSubject, IssuerSubject, Subject
from bff.oidc.jwks import parse_key_set
from bff.session.session import EndReason, Session, User
from tests.harness.encrypting import encrypted
from tests.harness.minting import (
    CLIENT_ID,
    EC_KEY,
    EC_KEY_384,
    ISSUER,
    OTHER_RSA_KEY,
    RSA_KEY,
    jwk,
    jwks,
    mint,
    private_jwk,
)
from tests.unit.flows.parts import Parts

EVENTS: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
ALICE = User("alice", "alice@example.com")


class Provider:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        providers = (parts.provider,)
        self.flow = ProviderLogoutFlow(
            parts.store, providers, parts.end_sessions, parts.settings, clock=parts.data.clock
        )

    def logout_token(self, *, key: Any = RSA_KEY, kid: str = "k1", **claims: Any) -> str:
        now = int(self.parts.data.clock())
        named = {"iss": ISSUER, "aud": CLIENT_ID, "iat": now, "exp": now + 60, "jti": "1", "events": EVENTS, **claims}
        return mint(named, {"alg": "RS256", "kid": kid, "typ": "logout+jwt"}, key=key)

    def revocation_token(self, **claims: Any) -> str:
        now = int(self.parts.data.clock())
        endpoint = self.parts.settings.browser.revocation_endpoint
        named = {"iss": ISSUER, "aud": endpoint, "sub": CLIENT_ID, "jti": "1", "iat": now, "exp": now + 60, **claims}
        return mint(named, {"alg": "RS256", "kid": "k1", "typ": "global-token-revocation+jwt"})


@pytest.fixture
def provider(parts: Parts) -> Provider:
    return Provider(parts)


@pytest.fixture
async def session(parts: Parts) -> Session:
    return await parts.signed_in(user=ALICE, sid="sid-1")


async def code_of(call: Callable[[], Any]) -> str:
    try:
        await call()
    except BffError as error:
        return error.code
    return ""


@pytest.mark.parametrize("kind", ["logout token", "revocation token"])
async def test_an_authentic_logout_request_that_the_store_cannot_take_leaves_no_recent_record(kind: str) -> None:
    provider = Provider(Parts(outage_grace=30.0))
    parts = provider.parts
    session = await parts.signed_in(user=ALICE, sid="sid-1")
    await parts.refresh.session_with_fresh_token(session.key)
    parts.data.down = True
    await parts.refresh.session_with_fresh_token(session.key)
    if kind == "logout token":
        received: Any = provider.flow.back_channel(provider.logout_token(sid="sid-1"))
    else:
        received = provider.flow.authorize_revocation(provider.revocation_token())
    with pytest.raises(StoreUnavailable):
        await received
    with pytest.raises(StoreUnavailable):
        await parts.refresh.session_with_fresh_token(session.key)


@pytest.mark.parametrize(
    ("who", "ends"),
    [
        ({"sid": "sid-1"}, True),
        ({"sub": "alice"}, True),
        ({"sub": "alice", "sid": "sid-1"}, True),
        ({"sub": "bob", "sid": "sid-1"}, False),
        ({"sid": "sid-2"}, False),
    ],
)
async def test_a_logout_token_ends_the_sessions_it_names(
    parts: Parts, provider: Provider, session: Session, who: dict[str, str], ends: bool
) -> None:
    await provider.flow.back_channel(provider.logout_token(**who))
    assert (await parts.stored(session) is None) is ends
    assert await parts.end_reason(session) is (EndReason.BACK_CHANNEL if ends else None)


@pytest.mark.parametrize(
    "changes",
    [{"aud": "another"}, {"iss": "https://another.example"}, {"events": {}}, {"nonce": "n"}, {"key": OTHER_RSA_KEY}],
    ids=["aud", "iss", "events", "nonce", "key"],
)
async def test_a_wrong_logout_token_ends_nothing(
    parts: Parts, provider: Provider, session: Session, changes: dict[str, Any]
) -> None:
    token = provider.logout_token(sid="sid-1", **changes)
    assert await code_of(lambda: provider.flow.back_channel(token)) == "invalid_request"
    assert await parts.stored(session) == session


@pytest.mark.parametrize(
    ("key", "header", "code"),
    [
        (EC_KEY, {}, ""),
        (EC_KEY, {"typ": "logout+jwt"}, ""),
        (None, {}, ""),  # only signed
        (EC_KEY, {"typ": "at+jwt"}, "invalid_request"),
        (EC_KEY, {"zip": "DEF"}, "invalid_request"),
        (EC_KEY_384, {}, "invalid_request"),
    ],
)
async def test_a_logout_token_may_be_encrypted(key: Any, header: dict[str, str], code: str) -> None:
    parts = Parts(decryption_keys=json.dumps(private_jwk(EC_KEY)))
    provider, session = Provider(parts), await parts.signed_in(user=ALICE, sid="sid-1")
    token = provider.logout_token(sid="sid-1")
    if key is not None:
        token = encrypted(token, key, alg="ECDH-ES", header=header)
    assert await code_of(lambda: provider.flow.back_channel(token)) == code
    assert (await parts.stored(session) is None) is (code == "")


async def test_an_encrypted_logout_token_still_needs_a_signature_of_the_provider() -> None:
    parts = Parts(decryption_keys=json.dumps(private_jwk(EC_KEY)))
    provider, session = Provider(parts), await parts.signed_in(user=ALICE, sid="sid-1")
    forged = provider.logout_token(sid="sid-1", key=OTHER_RSA_KEY)
    token = encrypted(forged, EC_KEY, alg="ECDH-ES")
    assert await code_of(lambda: provider.flow.back_channel(token)) == "invalid_request"
    assert await parts.stored(session) == session


@pytest.mark.case("BL-026")
async def test_a_logout_token_counts_once_and_again_after_a_failure(
    parts: Parts, provider: Provider, session: Session
) -> None:
    token = provider.logout_token(sub="alice")
    parts.data.down = True
    with pytest.raises(StoreUnavailable):
        await provider.flow.back_channel(token)
    parts.data.down = False
    await provider.flow.back_channel(token)
    assert await parts.stored(session) is None
    later = await parts.signed_in(user=ALICE)
    await provider.flow.back_channel(token)
    assert await parts.stored(later) == later


async def test_a_key_of_a_rotation_is_fetched_once(parts: Parts, provider: Provider, session: Session) -> None:
    parts.provider.key_sets.append(parse_key_set(jwks(jwk(OTHER_RSA_KEY, "k2"))))
    await provider.flow.back_channel(provider.logout_token(sid="sid-1", key=OTHER_RSA_KEY, kid="k2"))
    assert await parts.stored(session) is None


@pytest.mark.parametrize(
    ("iss", "sid", "ends"),
    [(ISSUER, "sid-1", True), ("https://another.example", "sid-1", False), (ISSUER, None, False)],
)
async def test_a_front_channel_request_ends_the_sessions_of_its_sid(
    parts: Parts, provider: Provider, session: Session, iss: str, sid: str | None, ends: bool
) -> None:
    await provider.flow.front_channel(iss, sid)
    assert (await parts.stored(session) is None) is ends
    assert bool(parts.data.markers) is ends, "anybody can send such a request"


@pytest.mark.parametrize(
    ("subject", "code"),
    [
        (EmailSubject("Alice@Example.com"), ""),
        (IssuerSubject(ISSUER, "alice"), ""),
        (IssuerSubject(f"{ISSUER}/", "alice"), ""),
        (EmailSubject("bob@example.com"), "user_unknown"),
        (IssuerSubject("https://another.example", "alice"), "user_unknown"),
    ],
)
async def test_universal_logout_ends_all_sessions_of_a_user(
    parts: Parts, provider: Provider, session: Session, subject: Subject, code: str
) -> None:
    token = await provider.flow.authorize_revocation(provider.revocation_token())
    assert await code_of(lambda: provider.flow.universal_logout(token, subject)) == code
    assert (await parts.stored(session) is None) is (code == "")


async def test_an_issuer_with_a_trailing_slash_is_named_with_it() -> None:
    with_slash = "https://tenant.example.com/"
    parts = Parts(issuer=with_slash)
    flow = Provider(parts).flow
    logout_token = Provider(parts).logout_token(sub="alice", iss=with_slash[:-1])
    assert await code_of(lambda: flow.back_channel(logout_token)) == "invalid_request"
    assert await code_of(lambda: flow.back_channel(Provider(parts).logout_token(sub="alice", iss=with_slash))) == ""


async def test_universal_logout_needs_stored_addresses_for_an_address() -> None:
    parts = Parts(scopes="openid offline_access")
    provider = Provider(parts)
    token = await provider.flow.authorize_revocation(provider.revocation_token())
    assert await code_of(lambda: provider.flow.universal_logout(token, EmailSubject("a@b"))) == "sign_out_impossible"


async def test_a_used_or_wrong_revocation_token_is_refused(parts: Parts, provider: Provider, session: Session) -> None:
    compact = provider.revocation_token()
    token = await provider.flow.authorize_revocation(compact)
    await provider.flow.universal_logout(token, EmailSubject("alice@example.com"))
    for refused in (compact, provider.revocation_token(aud="https://elsewhere.example"), "no.token.this"):
        with pytest.raises(RevocationRefused):
            await provider.flow.authorize_revocation(refused)
    parts.provider.down = True
    code = await code_of(lambda: provider.flow.authorize_revocation(provider.revocation_token(jti="2")))
    assert code == "provider_unavailable"


async def test_the_keys_of_either_provider_may_sign(parts: Parts, session: Session) -> None:
    org = Parts(beside=parts)
    parts.provider.key_sets = [parse_key_set(jwks(jwk(OTHER_RSA_KEY)))]
    org.provider = type(parts.provider)()
    flow = ProviderLogoutFlow(
        parts.store, (parts.provider, org.provider), parts.end_sessions, parts.settings, clock=parts.data.clock
    )
    assert (await flow.authorize_revocation(Provider(parts).revocation_token())).jti == "1"
