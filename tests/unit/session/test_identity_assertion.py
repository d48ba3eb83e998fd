"""What an identity assertion says about a session."""

from dataclasses import replace
from typing import Any

from bff.session.identity_assertion import assertion_claims
from bff.session.session import Session, User
from tests.harness.refresh_records import fresh

USER = User("00u1", claims={"name": "Ann", "groups": ["a", "b"], "sub": "another", "email": "ann@example.com"})
SESSION = replace(fresh(), user=USER, sid="at-the-provider", auth_time=99.7, acr="2fa", amr=["pwd", "otp"], ends_at=1e9)


def claims(session: Session = SESSION, **changes: Any) -> dict[str, Any]:
    given = {"audience": "orders-api", "claims": ("sub", "groups", "email"), "lifetime": 60, "now": 1000.9, "jti": "j"}
    return assertion_claims(session, issuer="https://app.example.com", **{**given, **changes})


def test_it_names_issuer_audience_user_session_and_authentication() -> None:
    assert claims() == {
        "iss": "https://app.example.com",
        "aud": "orders-api",
        "sub": "00u1",
        "sid": SESSION.public_id,
        "groups": ["a", "b"],
        "email": "ann@example.com",
        "auth_time": 99,
        "acr": "2fa",
        "amr": ["pwd", "otp"],
        "iat": 1000,
        "exp": 1060,
        "jti": "j",
    }


def test_the_session_has_the_name_that_logs_shorten_and_neither_its_key_nor_the_providers() -> None:
    sid = claims()["sid"]
    assert len(sid) == 32
    assert sid.startswith(SESSION.fingerprint)
    assert sid not in (SESSION.key, SESSION.sid)


def test_what_the_provider_did_not_state_or_withdrew_is_left_out() -> None:
    session = replace(SESSION, auth_time=None, acr=None, amr=None, withdrawn_claims=["groups"])
    stated = claims(session, claims=("groups", "email", "locale"))
    assert stated.keys() == {"iss", "aud", "sub", "sid", "email", "iat", "exp", "jti"}


def test_it_does_not_outlive_the_session() -> None:
    assert claims(replace(SESSION, ends_at=1010.2))["exp"] == 1011


def test_no_claim_of_the_user_replaces_one_of_ours() -> None:
    names = ("iss", "aud", "exp", "sub", "sid", "jti", "iat")
    forged = replace(SESSION, user=User("00u1", claims=dict.fromkeys(names, "forged")))
    assert "forged" not in claims(forged, claims=names).values()
