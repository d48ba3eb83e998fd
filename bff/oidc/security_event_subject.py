"""Whom a security event is about: subject identifiers (RFC 9493) and the complex subjects of SSF 1.0 section 3.

Three places hold them: `sub_id` of the token, `subject` of the event (drafts of SSF, and Okta), and there with or
without `format` for a complex one. Other members of a complex subject (device, tenant, application) narrow it down in a
way that a session record cannot match; they are only named, and such an event applies to all sessions of the user
unless the transmitter declares one of them critical.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeGuard

from bff.oidc.id_token import is_subject
from bff.oidc.logout import is_identifier

MAX_EMAIL_LENGTH: Final = 254
MAX_ALIASES: Final = 10
# Keycloak 26 names this session when an administrator ends all sessions of a user. No real id is so short.
EVERY_SESSION: Final = "ALL"
_MATCHED: Final = frozenset({"format", "subject_type", "user", "session"})
_COMPLEX: Final = ("user", "session", "device", "tenant", "application", "org_unit", "group")


@dataclass(frozen=True, slots=True)
class IssuerUser:
    """`iss_sub`. `iss` is None for an opaque id, which the transmitter assigned."""

    iss: str | None
    sub: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EmailUser:
    email: str = field(repr=False)


User: TypeAlias = IssuerUser | EmailUser


@dataclass(frozen=True, slots=True)
class Subject:
    """A user, one of the user's sessions (`session`, the provider's `sid`), or a session alone. Never neither.

    `others` are the names of the members that are not matched.
    """

    user: User | None
    session: str | None = None
    others: frozenset[str] = frozenset()


def read_subject(sub_id: Any, event_subject: Any) -> Subject | None:
    """The subject of an event, None if it has none that is supported. `sub_id` takes precedence."""
    for value in (sub_id, event_subject):
        if value is not None:
            return _subject(value)
    return None


def _subject(value: Any) -> Subject | None:
    if not isinstance(value, Mapping):
        return None
    subject_format = _format(value)
    if subject_format == "complex" or (subject_format is None and any(name in value for name in _COMPLEX)):
        return _complex(value)
    user = _user(value)
    return None if user is None else Subject(user)


def _complex(value: Mapping[str, Any]) -> Subject | None:
    user, session = value.get("user"), value.get("session")
    named, others = None if user is None else _user(user), frozenset(value) - _MATCHED
    if user is not None and named is None:
        return None  # a user that cannot be identified; the session alone would match without this condition
    if session is None:
        return None if named is None else Subject(named, others=others)
    session_id = session.get("id") if isinstance(session, Mapping) and _format(session) == "opaque" else None
    if session_id == EVERY_SESSION:
        return None if named is None else Subject(named, others=others)
    # Not all sessions of the user instead: the event is about one of them.
    return Subject(named, session_id, others) if is_identifier(session_id) else None


def _user(value: Any, *, nested: bool = False) -> User | None:
    if not isinstance(value, Mapping):
        return None
    match _format(value):
        case "iss_sub":
            iss, sub = value.get("iss"), value.get("sub")
            return IssuerUser(iss, sub) if isinstance(iss, str) and iss and is_subject(sub) else None
        case "opaque":
            opaque = value.get("id")
            return IssuerUser(None, opaque) if is_subject(opaque) else None
        case "email":
            email = value.get("email")
            return EmailUser(email) if _is_email(email) else None
        case "aliases" if not nested:
            identifiers = value.get("identifiers")
            if not isinstance(identifiers, list) or len(identifiers) > MAX_ALIASES:
                return None
            users = [user for identifier in identifiers if (user := _user(identifier, nested=True)) is not None]
            return next((user for user in users if isinstance(user, IssuerUser)), users[0] if users else None)
        case _:
            return None


def _format(value: Mapping[str, Any]) -> str | None:
    """`subject_type`, with hyphens, is the name in drafts before 2023."""
    named = value.get("format", value.get("subject_type"))
    return named.replace("-", "_") if isinstance(named, str) else None


def _is_email(value: object) -> TypeGuard[str]:
    """No address validation: a short printable text with an `@`, as ID tokens contain it."""
    return isinstance(value, str) and 2 < len(value) <= MAX_EMAIL_LENGTH and value.isprintable() and "@" in value[1:]
