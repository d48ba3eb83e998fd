"""Whom an event is about: every format of a subject that occurs, and those that name nobody."""

from typing import Any

import pytest

from bff.oidc.security_event_subject import EmailUser, IssuerUser, Subject, read_subject

ISS_SUB = {"format": "iss_sub", "iss": "https://okta.example", "sub": "00u1"}
EMAIL = {"format": "email", "email": "ann@example.com"}
SESSION = {"format": "opaque", "id": "sid-1"}
DEVICE = {"format": "opaque", "id": "d"}
ANN = IssuerUser("https://okta.example", "00u1")

NAMED: list[tuple[Any, Subject]] = [
    (ISS_SUB, Subject(ANN)),
    ({"subject_type": "iss-sub", "iss": "https://okta.example", "sub": "00u1"}, Subject(ANN)),
    (EMAIL, Subject(EmailUser("ann@example.com"))),
    ({"format": "opaque", "id": "00u1"}, Subject(IssuerUser(None, "00u1"))),
    ({"format": "complex", "user": ISS_SUB}, Subject(ANN)),
    ({"user": ISS_SUB}, Subject(ANN)),
    ({"format": "complex", "user": ISS_SUB, "session": SESSION}, Subject(ANN, "sid-1")),
    ({"user": EMAIL, "session": SESSION}, Subject(EmailUser("ann@example.com"), "sid-1")),
    ({"format": "complex", "session": SESSION}, Subject(None, "sid-1")),
    ({"format": "complex", "user": ISS_SUB, "session": {"format": "opaque", "id": "ALL"}}, Subject(ANN)),
    ({"format": "complex", "user": ISS_SUB, "device": DEVICE}, Subject(ANN, others=frozenset({"device"}))),
    ({"user": ISS_SUB, "session": SESSION, "x": 1}, Subject(ANN, "sid-1", frozenset({"x"}))),
    ({"format": "aliases", "identifiers": [EMAIL, {"format": "phone_number"}, ISS_SUB]}, Subject(ANN)),
    ({"format": "aliases", "identifiers": [EMAIL]}, Subject(EmailUser("ann@example.com"))),
]
UNNAMED: list[Any] = [
    *(None, 1, "x", [], {}, {"format": 7}, {"format": "phone_number", "phone_number": "+1"}),
    *({**ISS_SUB, "sub": ""}, {**ISS_SUB, "sub": "x" * 300}, {**ISS_SUB, "iss": None}, {**EMAIL, "email": "ann"}),
    {"format": "complex", "device": DEVICE},
    # About one session that cannot be identified, so not about all of them.
    {"format": "complex", "user": ISS_SUB, "session": {"format": "jwt_id", "iss": "x", "jti": "y"}},
    {"format": "complex", "user": ISS_SUB, "session": {"format": "opaque", "id": ""}},
    {"format": "complex", "session": {"format": "opaque", "id": "ALL"}},
    # Of a user that cannot be identified, so not of anybody.
    {"format": "complex", "user": {"format": "did", "url": "did:x"}, "session": SESSION},
    {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [ISS_SUB]}]},
    {"format": "aliases", "identifiers": [ISS_SUB] * 11},
]


@pytest.mark.parametrize(("value", "subject"), NAMED)
def test_a_subject_names_a_user_or_a_session(value: Any, subject: Subject) -> None:
    assert read_subject(value, None) == subject
    assert read_subject(None, value) == subject


@pytest.mark.parametrize("value", UNNAMED)
def test_an_unsupported_subject_names_nobody(value: Any) -> None:
    assert read_subject(value, None) is None


def test_the_subject_of_the_token_takes_precedence() -> None:
    assert read_subject(EMAIL, ISS_SUB) == Subject(EmailUser("ann@example.com"))


def test_a_subject_does_not_appear_in_a_repr() -> None:
    assert "ann" not in repr(read_subject(EMAIL, None))
    assert "00u1" not in repr(read_subject(ISS_SUB, None))
