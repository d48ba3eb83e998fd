"""ID tokens are validated with the provider's current keys; only another subject ends a session at a refresh."""

from typing import Any

import pytest

from bff.flows.id_tokens import SameUser, Unverified, WrongUser, email_of, session_expiry_of
from bff.oidc.jwks import parse_key_set
from bff.session.session import User
from tests.harness.minting import NONCE, OTHER_RSA_KEY, SUB, good_claims, jwk, jwks, mint
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
        ({"name": "Alice", "email": "a@example.com"}, SameUser({"sub": SUB, "name": "Alice"}, "a@example.com")),
        ({"session_expiry": 1_000_000_500}, SameUser({"sub": SUB}, session_expiry=1_000_000_500.0)),
        ({"sub": "another"}, WrongUser()),
        ({"aud": "another"}, Unverified()),
        ({"nonce": "another"}, Unverified()),
    ],
    ids=["claims", "session_expiry", "sub", "aud", "nonce"],
)
async def test_at_a_refresh(changes: dict[str, Any], expected: object) -> None:
    parts = Parts(user_claims="sub name")
    session = await parts.signed_in(user=User(SUB), nonce=NONCE)
    assert await parts.id_tokens.at_refresh(parts.id_token(**changes), session, now=parts.now) == expected


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
