"""ID tokens are validated with the provider's current keys; only another subject ends a session at a refresh."""

from dataclasses import replace
from typing import Any

import pytest

from bff.flows.id_tokens import Mismatched, SameUser, Unverified, WrongUser, email_of, session_expiry_of
from bff.oidc.jwks import parse_key_set
from bff.session.session import User
from tests.harness.minting import CLIENT_ID, NONCE, OTHER_RSA_KEY, SUB, good_claims, jwk, jwks, mint
from tests.unit.flows.parts import Parts


async def at_sign_in(parts: Parts, compact: str) -> str:
    claims = await parts.id_tokens.at_sign_in(compact, nonce=NONCE, access_token="at", now=parts.now)
    return claims.sub


def rotated(parts: Parts) -> str:
    """An ID token under a key that is fetched only when it is asked for."""
    parts.provider.key_sets.append(parse_key_set(jwks(jwk(OTHER_RSA_KEY, "k2"))))
    now = int(parts.now)
    claims = good_claims(iat=now, exp=now + 60, auth_time=now)
    return mint(claims, {"alg": "RS256", "kid": "k2"}, key=OTHER_RSA_KEY)


async def test_a_valid_token_and_one_under_a_new_key(parts: Parts) -> None:
    assert await at_sign_in(parts, parts.id_token()) == SUB
    assert await at_sign_in(parts, rotated(parts)) == SUB


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"name": "Alice", "email": "a@example.com"},
            SameUser({"sub": SUB, "name": "Alice"}, "a@example.com", amr=("pwd",)),
        ),
        ({"session_expiry": 1_000_000_500}, SameUser({"sub": SUB}, session_expiry=1_000_000_500.0, amr=("pwd",))),
        ({"sub": "another"}, WrongUser()),
        ({"aud": "another"}, Mismatched()),
        ({"aud": ["another", "one more"], "exp": 5}, Mismatched()),
        ({"aud": [CLIENT_ID, "another"]}, Unverified()),
        ({"aud": None}, Unverified()),
        ({"iss": None}, Unverified()),
        ({"nonce": "another"}, Unverified()),
    ],
    ids=["claims", "session_expiry", "sub", "aud", "auds", "shared aud", "no aud", "no iss", "nonce"],
)
async def test_at_a_refresh(changes: dict[str, Any], expected: object) -> None:
    parts = Parts(user_claims="sub name")
    session = await parts.signed_in(user=User(SUB), nonce=NONCE, withdrawn_claims=None)
    assert await parts.id_tokens.at_refresh(parts.id_token(**changes), session, now=parts.now) == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [("ours", Mismatched()), ("another issuer", Unverified()), ("away", Unverified())],
)
async def test_another_issuer_ends_a_session_only_if_the_metadata_read_now_still_names_ours(
    parts: Parts, metadata: str, expected: object, caplog: pytest.LogCaptureFixture
) -> None:
    session = await parts.signed_in(user=User(SUB), nonce=NONCE)
    id_token = parts.id_token(iss="https://login.example.com")
    if metadata == "another issuer":
        parts.provider.document = replace(parts.provider.document, issuer="https://login.example.com")
    parts.provider.metadata_down = metadata == "away"
    assert await parts.id_tokens.at_refresh(id_token, session, now=parts.now) == expected
    assert parts.provider.metadata_fetches == 1
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert bool(errors) is (expected == Unverified())
    assert "login.example.com" not in caplog.text


@pytest.mark.parametrize("claims", [{"iss": "https://evil"}, {"aud": "another"}], ids=["iss", "aud"])
async def test_a_forged_token_ends_nothing_and_the_log_says_why(
    parts: Parts, claims: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    session = await parts.signed_in(user=User(SUB), nonce=NONCE)
    forged = mint(good_claims(**claims), key=OTHER_RSA_KEY)
    assert await parts.id_tokens.at_refresh(forged, session, now=parts.now) == Unverified()
    assert parts.provider.metadata_fetches == 0
    assert [getattr(record, "why", None) for record in caplog.records] == ["its signature is wrong"]


async def test_at_a_refresh_an_outage_decides_nothing_and_new_keys_are_fetched(parts: Parts) -> None:
    session = await parts.signed_in(user=User(SUB), nonce=NONCE)
    assert isinstance(await parts.id_tokens.at_refresh(rotated(parts), session, now=parts.now), SameUser)
    parts.provider.down = True
    assert await parts.id_tokens.at_refresh(parts.id_token(), session, now=parts.now) == Unverified()


@pytest.mark.parametrize("value", [None, "", 5, ["a@b"]])
def test_what_is_no_address(value: object) -> None:
    assert email_of({"email": value}) is None


@pytest.mark.parametrize("value", [None, "1000", True, -5, float("nan")])
def test_what_is_no_expiry(value: object) -> None:
    assert session_expiry_of({"session_expiry": value}) is None
