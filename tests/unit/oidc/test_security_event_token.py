"""Security Event Tokens: which are valid, what they say, and why each other one is refused."""

from typing import Any

import pytest

from bff.oidc.jwks import parse_key_set
from bff.oidc.security_event_subject import IssuerUser, Subject
from bff.oidc.security_event_token import (
    SecurityEventAudienceRefused,
    SecurityEventKeyUnknown,
    SecurityEventRefused,
    SecurityEventToken,
    Unit,
    validate_security_event_token,
    validate_security_event_token_form,
)
from bff.oidc.security_events import CAEP, RISC, SSF, SecurityEvent, StreamUpdated, Verification
from tests.harness.minting import EC_KEY, NOW, OTHER_RSA_KEY, RSA_KEY, jwk, jwks, mint

ISSUER, AUDIENCE = "https://example.okta.com", "https://app.example/auth/security-events"
KEYS = parse_key_set(jwks(jwk(RSA_KEY)))
HEADER = {"alg": "RS256", "kid": "k1", "typ": "secevent+jwt"}
SUBJECT = {"format": "iss_sub", "iss": ISSUER, "sub": "00u1"}
REVOKED = f"{CAEP}session-revoked"
ANN = Subject(IssuerUser(ISSUER, "00u1"))


def token(header: dict[str, Any] = HEADER, key: Any = RSA_KEY, alg: str = "RS256", **changes: Any) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "iat": int(NOW), "jti": "j1", "sub_id": SUBJECT, "events": {REVOKED: {}}}
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    return mint(claims, header, key=key, alg=alg)


def validate(compact: str, *, unit: Unit = "seconds") -> SecurityEventToken:
    validate_security_event_token_form(compact, ("RS256",))
    return validate_security_event_token(
        compact, KEYS, issuer=ISSUER, audiences=(AUDIENCE, "second"), algorithms=("RS256",), event_timestamps=unit
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"aud": [AUDIENCE, "https://another.example"]},
        {"aud": ["second"]},
        {"exp": 1, "sub": "ignored", "toe": 5},
        {"iat": int(NOW) + 10**9},
        {"header": {**HEADER, "typ": "SecEvent+JWT"}},
    ],
)
def test_a_token_is_valid_without_exp(changes: dict[str, Any]) -> None:
    (event,) = validate(token(**changes)).events
    assert isinstance(event, SecurityEvent)
    assert (event.name, event.subject) == ("session-revoked", ANN)


@pytest.mark.parametrize(
    ("changes", "err"),
    [
        ({"header": {**HEADER, "typ": "JWT"}}, "invalid_request"),
        ({"header": {"alg": "RS256", "kid": "k1"}}, "invalid_request"),
        ({"header": {**HEADER, "typ": "logout+jwt"}}, "invalid_request"),
        ({"header": {**HEADER, "alg": "ES256"}, "key": EC_KEY, "alg": "ES256"}, "invalid_request"),
        ({"header": {**HEADER, "alg": "none"}}, "invalid_request"),
        ({"header": {**HEADER, "crit": ["x"]}}, "invalid_request"),
        ({"header": {**HEADER, "kid": "k2"}}, "invalid_key"),
        ({"key": OTHER_RSA_KEY}, "invalid_key"),
        ({"iss": "https://example.okta.com/"}, "invalid_issuer"),
        ({"iss": None}, "invalid_issuer"),
        ({"aud": None}, "invalid_audience"),
        ({"aud": []}, "invalid_audience"),
        ({"aud": [AUDIENCE, 1]}, "invalid_audience"),
        ({"aud": [AUDIENCE] * 21}, "invalid_audience"),
        ({"aud": f"{AUDIENCE}/"}, "invalid_audience"),
        ({"iat": None}, "invalid_request"),
        ({"iat": True}, "invalid_request"),
        ({"iat": int(NOW) * 10**6}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"jti": ""}, "invalid_request"),
        ({"jti": "é"}, "invalid_request"),
        ({"events": None}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"events": [REVOKED]}, "invalid_request"),
        ({"events": {REVOKED: []}}, "invalid_request"),
        ({"events": {f"urn:{number}": {} for number in range(21)}}, "invalid_request"),
    ],
)
def test_an_invalid_token_is_refused(changes: dict[str, Any], err: str) -> None:
    with pytest.raises(SecurityEventRefused) as refused:
        validate(token(**changes))
    assert refused.value.err == err
    assert ISSUER not in str(refused.value)


def test_an_unknown_key_and_another_audience_are_distinguished() -> None:
    with pytest.raises(SecurityEventKeyUnknown) as unknown:
        validate(token({**HEADER, "kid": "k2"}))
    assert unknown.value.kid == "k2"
    with pytest.raises(SecurityEventAudienceRefused) as refused:
        validate(token(aud="https://another.example"))
    assert refused.value.audiences == ("https://another.example",)


@pytest.mark.parametrize(
    ("unit", "timestamp", "at"),
    [
        ("seconds", int(NOW) - 60, NOW - 60),
        ("milliseconds", int(NOW) * 1000 - 60_500, NOW - 60.5),
        ("seconds", None, NOW),
        ("seconds", "yesterday", NOW),
        ("seconds", True, NOW),
        ("milliseconds", -1, NOW),
        ("milliseconds", int("9" * 4000), 253_402_300_800.0),
    ],
)
def test_the_time_of_an_event_has_the_unit_of_the_transmitter(unit: Unit, timestamp: Any, at: float) -> None:
    payload = {} if timestamp is None else {"event_timestamp": timestamp}
    (event,) = validate(token(events={REVOKED: payload}), unit=unit).events
    assert isinstance(event, SecurityEvent)
    assert event.at == at


def test_a_token_carries_events_of_several_types() -> None:
    payloads = {
        REVOKED: {"subject": {"user": SUBJECT}},
        f"{RISC}account-disabled": {"subject": {"format": "phone_number"}},
        f"{SSF}verification": {"state": "s-1"},
        f"{SSF}stream-updated": {"status": "paused"},
        "https://example.com/event": {},
    }
    parsed = validate(token(sub_id=None, events=payloads))
    assert (parsed.jti, parsed.iat) == ("j1", NOW)
    assert parsed.events == (
        SecurityEvent("session-revoked", NOW, ANN),
        SecurityEvent("account-disabled", NOW, None),
        Verification("s-1"),
        StreamUpdated("paused"),
        SecurityEvent("unknown", NOW, None),
    )


@pytest.mark.parametrize("state", [None, 7, "", "x" * 1025])
def test_a_verification_without_a_usable_state_is_one_all_the_same(state: Any) -> None:
    assert validate(token(events={f"{SSF}verification": {"state": state}})).events == (Verification(None),)
    assert validate(token(events={f"{SSF}stream-updated": {"status": state}})).events == (StreamUpdated(None),)
