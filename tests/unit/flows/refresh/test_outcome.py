"""The outcome of a refresh in the record: durable, of the same user, and never bringing a session back."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from bff.errors import StoreUnavailable
from bff.flows.refresh.outcome import KEEP_GRANTED_FOR
from bff.flows.refresh.reservation import RefreshCause, Reserved
from bff.oidc.token import Granted, NoAnswer, TokenResponse
from bff.session.session import EndReason, Session
from bff.session.token_response import Ended, Renewed, Superseded
from tests.harness.encrypting import encrypted
from tests.harness.minting import EC_KEY, EC_KEY_384, NONCE, OTHER_RSA_KEY, mint, private_jwk
from tests.harness.virtual_time import time_passes
from tests.unit.flows.parts import Parts


def granted(id_token: str | None = None) -> Granted:
    return Granted(TokenResponse("new access", 3600, "new refresh", id_token, "openid"))


async def reserved(parts: Parts, **changes: Any) -> Reserved:
    session = await parts.expired(**changes)
    reservation = await parts.reservations.reserve(session.key, RefreshCause(), turn=False)
    assert isinstance(reservation, Reserved)
    return reservation


async def reserved_again(parts: Parts, session: Session) -> Reserved:
    expired = replace(session.tokens, usable_until=parts.now - 1, refresh_at=parts.now - 100)
    await parts.store.replace(replace(session, version=session.version + 1, tokens=expired), session.version)
    reservation = await parts.reservations.reserve(session.key, RefreshCause(), turn=False)
    assert isinstance(reservation, Reserved)
    return reservation


async def written(parts: Parts, reservation: Reserved, id_token: str | None) -> Session:
    result = await parts.outcomes.store(reservation, granted(id_token))
    assert isinstance(result, Renewed)
    assert await parts.stored(result.session) == result.session
    return result.session


@pytest.mark.case("RF-067")
async def test_claims_and_the_id_token_change_with_the_tokens(parts: Parts) -> None:
    reservation = await reserved(parts)
    sub, expiry = reservation.session.user.sub, int(parts.now) + 1000
    id_token = parts.id_token(sub=sub, name="New Name", email="new@example.com", nonce=None, session_expiry=expiry)
    session = await written(parts, reservation, id_token)
    assert (session.user.claims["name"], session.user.email) == ("New Name", "new@example.com")
    assert (session.tokens.access_token, session.tokens.id_token) == ("new access", id_token)
    assert session.ends_at == expiry


FULL = {"name": "Ann", "email": "ann@example.com", "groups": ["admins"], "picture": "x"}
WITHOUT_GROUPS = {"name": "Ann", "email": "ann@example.com"}


@pytest.mark.parametrize(
    ("tokens", "groups"),
    [
        ([FULL], ["admins"]),
        ([FULL, {"groups": ["staff"]}], ["staff"]),
        ([FULL, WITHOUT_GROUPS], None),  # the last group is gone
        ([FULL, WITHOUT_GROUPS, {}], None),
        ([FULL, WITHOUT_GROUPS, FULL], ["admins"]),
        ([FULL, {}], ["admins"]),  # a token that says nothing of the user
        ([FULL, None], ["admins"]),
        ([WITHOUT_GROUPS, WITHOUT_GROUPS], ["a", "b"]),  # they came from UserInfo
    ],
)
async def test_a_claim_that_an_id_token_no_longer_has_is_withdrawn(
    parts: Parts, tokens: list[dict[str, Any] | None], groups: list[str] | None
) -> None:
    session = (reservation := await reserved(parts)).session
    for claims in tokens:
        of_user = dict.fromkeys(FULL) if claims is None else {**dict.fromkeys(FULL), **claims}
        id_token = None if claims is None else parts.id_token(sub=session.user.sub, nonce=None, **of_user)
        session = await written(parts, reservation, id_token)
        reservation = await reserved_again(parts, session)
    assert session.claim("groups") == groups
    assert session.user.claims["groups"]  # what /auth/session shows


async def test_the_strength_of_the_authentication_changes_with_the_tokens(parts: Parts) -> None:
    reservation = await reserved(parts)
    sub = reservation.session.user.sub
    session = await written(parts, reservation, parts.id_token(sub=sub, nonce=None, acr="phr", amr=["hwk"]))
    assert (session.acr, session.amr) == ("phr", ["hwk"])


@pytest.mark.parametrize("wrong", ["forged", "nonce", "garbage"])
async def test_an_id_token_that_fails_validation_replaces_nothing(parts: Parts, wrong: str) -> None:
    reservation = await reserved(parts, nonce=NONCE)
    sub = reservation.session.user.sub
    id_token = {
        "forged": mint({"sub": sub}, key=OTHER_RSA_KEY),
        "nonce": parts.id_token(sub=sub, nonce="another", name="Mallory"),
        "garbage": "no.token.this",
    }[wrong]
    session = await written(parts, reservation, id_token)
    assert session.tokens.access_token == "new access"
    assert (session.user, session.tokens.id_token) == (
        reservation.session.user,
        reservation.session.tokens.id_token,
    )


@pytest.mark.parametrize("sent", ["encrypted", "encrypted for another key", "signed only"])
async def test_a_refreshed_id_token_is_decrypted_or_replaces_nothing(sent: str) -> None:
    parts = Parts(decryption_keys=json.dumps(private_jwk(EC_KEY)))
    reservation = await reserved(parts)
    before = reservation.session
    signed = parts.id_token(sub=before.user.sub, nonce=None, name="New Name")
    id_token = {
        "encrypted": encrypted(signed, EC_KEY, alg="ECDH-ES"),
        "encrypted for another key": encrypted(signed, EC_KEY_384, alg="ECDH-ES"),
        "signed only": signed,
    }[sent]
    session = await written(parts, reservation, id_token)
    assert (session.tokens.access_token, session.tokens.refresh_token) == ("new access", "new refresh")
    if sent == "encrypted":
        assert (session.tokens.id_token, session.user.claims["name"]) == (signed, "New Name")
    else:
        assert (session.tokens.id_token, session.user) == (before.tokens.id_token, before.user)


@pytest.mark.case("IT-073")
async def test_tokens_of_another_user_end_the_session_and_are_revoked(parts: Parts) -> None:
    reservation = await reserved(parts)
    id_token = parts.id_token(sub="somebody else", nonce=None)
    assert await parts.outcomes.store(reservation, granted(id_token)) == Ended(EndReason.SUBJECT_CHANGED)
    await parts.settled()
    assert await parts.stored(reservation.session) is None
    assert "new refresh" in parts.provider.revoked


@pytest.mark.parametrize("claims", [{"aud": "another"}, {"iss": "https://another.example"}], ids=["aud", "iss"])
async def test_tokens_of_another_client_or_issuer_end_the_session_and_are_revoked(
    parts: Parts, claims: dict[str, str]
) -> None:
    reservation = await reserved(parts)
    id_token = parts.id_token(sub=reservation.session.user.sub, nonce=None, **claims)
    assert await parts.outcomes.store(reservation, granted(id_token)) == Ended(EndReason.ID_TOKEN_MISMATCH)
    await parts.settled()
    assert await parts.stored(reservation.session) is None
    assert "new refresh" in parts.provider.revoked


async def test_a_provider_that_changes_its_issuer_ends_nothing(parts: Parts) -> None:
    reservation = await reserved(parts)
    parts.provider.metadata_down = True
    id_token = parts.id_token(sub=reservation.session.user.sub, nonce=None, iss="https://another.example")
    session = await written(parts, reservation, id_token)
    assert session.tokens.refresh_token == "new refresh"
    assert session.tokens.id_token == reservation.session.tokens.id_token


async def test_keys_that_take_too_long_leave_the_reason_in_the_log(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    reservation = await reserved(parts)
    parts.provider.keys_delay = 60.0
    await written(parts, reservation, parts.id_token(sub=reservation.session.user.sub, nonce=None))
    assert [getattr(record, "why", None) for record in caplog.records] == [
        "the provider's keys or metadata took longer than 1 s"
    ]


async def test_tokens_for_a_session_that_has_ended_are_revoked(parts: Parts) -> None:
    reservation = await reserved(parts)
    await parts.store.delete(reservation.session.key, EndReason.SIGNED_OUT)
    assert await parts.outcomes.store(reservation, granted()) == Superseded()
    await parts.settled()
    assert parts.provider.revoked == ["new refresh"]
    assert await parts.stored(reservation.session) is None


@pytest.mark.parametrize(("issuer", "revoked"), [("https://example.okta.com", True), ("https://id.example.com", False)])
async def test_tokens_for_a_session_that_was_replaced_are_revoked_where_the_new_session_survives_that(
    issuer: str, revoked: bool
) -> None:
    parts = Parts(issuer=issuer)
    reservation = await reserved(parts)
    await parts.store.delete(reservation.session.key, EndReason.REPLACED)
    assert await parts.outcomes.store(reservation, granted()) == Superseded()
    await parts.settled()
    assert parts.provider.revoked == (["new refresh"] if revoked else [])


async def test_a_reservation_that_a_failover_lost_still_takes_its_answer(parts: Parts) -> None:
    session = await parts.expired()
    before = replace(parts.data.sessions[session.key])
    reservation = await parts.reservations.reserve(session.key, RefreshCause(), turn=False)
    assert isinstance(reservation, Reserved)
    parts.data.sessions[session.key] = before
    assert (await written(parts, reservation, None)).tokens.refresh_token == "new refresh"


@pytest.mark.parametrize(("new_tokens", "seconds"), [(True, KEEP_GRANTED_FOR), (False, 10.0)])
async def test_new_tokens_are_written_for_minutes_and_other_outcomes_for_a_lease(
    parts: Parts, new_tokens: bool, seconds: float
) -> None:
    reservation = await reserved(parts)
    answer = granted() if new_tokens else NoAnswer(may_have_been_sent=True)
    parts.data.down = True
    begun = parts.data.clock()
    with pytest.raises(StoreUnavailable):
        await parts.outcomes.store(reservation, answer)
    assert seconds <= parts.data.clock() - begun <= seconds + 1
    writing = asyncio.create_task(parts.outcomes.store(reservation, granted()))
    await time_passes(60)
    parts.data.down = False
    assert isinstance(await writing, Renewed)
