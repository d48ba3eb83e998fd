"""The session record: who it belongs to, what it replaces, and what a logout covers."""

from dataclasses import replace
from typing import Any

import pytest

from bff.session.session import EndReason, Session, SessionId, SessionKey, User, fingerprint
from tests.harness.refresh_records import fresh, with_successor

SIGNED_IN = replace(fresh(), browser="browser", sign_in_began_at=None)
LATER = replace(SIGNED_IN, key=SessionKey("l" * 43), signed_in_at=SIGNED_IN.signed_in_at + 1)


def test_the_store_key_is_the_sha_256_of_the_cookies_secret() -> None:
    session_id = SessionId(bytes(32))
    assert session_id.key == "Zmh6rfhivXdsj8GLjp-OIAiXFIVu4jOzkCpZHQ1fKSU"
    assert session_id == SessionId(bytes(32)) != SessionId(bytes(31) + b"1")
    assert "x00" not in repr(session_id)


def test_a_fingerprint_identifies_a_session_without_its_key() -> None:
    assert SIGNED_IN.fingerprint == fingerprint(SIGNED_IN.key) == "52ebc9ca" != LATER.fingerprint
    assert SIGNED_IN.public_id.startswith(SIGNED_IN.fingerprint)
    assert SIGNED_IN.person == "c6e5d150"


def test_a_claim_that_the_provider_withdrew_is_none() -> None:
    user = User("00u1", claims={"sub": "another", "name": "Ann", "groups": ["a"]})
    session = replace(SIGNED_IN, user=user, withdrawn_claims=["groups"])
    assert [session.claim(name) for name in ("sub", "name", "groups", "email")] == ["00u1", "Ann", None, None]


def test_end_reasons_are_the_codes_of_the_documented_contract() -> None:
    assert [str(reason) for reason in EndReason] == [reason.name.lower() for reason in EndReason]


@pytest.mark.parametrize(
    ("changes", "same"),
    [({}, True), ({"issuer": "https://other"}, False), ({"user": User("00u2")}, False), ({"browser": "x"}, True)],
)
def test_a_user_is_issuer_and_sub(changes: dict[str, Any], same: bool) -> None:
    other = replace(LATER, **changes)
    assert (other.person == SIGNED_IN.person) is same


@pytest.mark.parametrize(
    ("later", "earlier", "replaces"),
    [
        (LATER, SIGNED_IN, True),
        (replace(LATER, signed_in_at=SIGNED_IN.signed_in_at), SIGNED_IN, True),
        (replace(LATER, user=User(SIGNED_IN.user.sub, "new@example.com")), SIGNED_IN, True),
        (SIGNED_IN, LATER, False),
        (SIGNED_IN, SIGNED_IN, False),
        (replace(LATER, user=User("00u2")), SIGNED_IN, False),
        (replace(LATER, issuer="https://other"), SIGNED_IN, False),
        (replace(LATER, browser="another"), SIGNED_IN, False),
        (replace(LATER, browser=None), replace(SIGNED_IN, browser=None), False),
    ],
)
def test_a_later_sign_in_of_the_same_user_in_the_same_browser_replaces_a_session(
    later: Session, earlier: Session, replaces: bool
) -> None:
    assert later.replaces(earlier) is replaces


@pytest.mark.parametrize(
    ("began_at", "at", "covered"), [(None, 0, True), (None, -1, False), (-9, -9, True), (-9, -10, False)]
)
def test_a_logout_covers_sessions_whose_sign_in_had_begun(began_at: float | None, at: float, covered: bool) -> None:
    start = SIGNED_IN.signed_in_at
    session = replace(SIGNED_IN, sign_in_began_at=None if began_at is None else start + began_at)
    assert session.sign_in_began_by(start + at) is covered


def test_a_repr_shows_no_secret() -> None:
    secret = with_successor(replace(fresh(), nonce="nonce-1", dpop_key="dpop-1", extra={"later": "extra-1"}))
    for value in ("access-3", "refresh-3", "id-3", "refresh-4b", "nonce-1", "dpop-1", "extra-1"):
        assert value not in repr(secret)
