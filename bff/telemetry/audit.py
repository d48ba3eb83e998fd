"""The audit trail: one log line for each authentication or authorization decision, with stable event names.

See docs/audit.md. Every package may record events. The lines go to the logger `bff.audit` regardless of the log level.
Events that any client can cause without limit are warnings, which `bff.telemetry.logging` rate-limits.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from bff.session.session import EndReason
from bff.session.session_view import SessionView

logger = logging.getLogger("bff.audit")

SubjectAs: TypeAlias = Literal["fingerprint", "sub"]
EndedBy: TypeAlias = Literal["person", "provider", "operator", "limit"]


class AuditEvent(StrEnum):
    """The closed list of audit events. The names are stable, because log pipelines match on them."""

    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGN_IN_SUPERSEDED = "sign_in_superseded"
    SESSION_ENDED = "session_ended"
    PROVIDER_LOGOUT_ACCEPTED = "provider_logout_accepted"
    PROVIDER_LOGOUT_REJECTED = "provider_logout_rejected"
    SECURITY_EVENT_ACCEPTED = "security_event_accepted"
    SECURITY_EVENT_REJECTED = "security_event_rejected"
    SESSIONS_ENDED_BY_OPERATOR = "sessions_ended_by_operator"
    REFRESH_DENIED = "refresh_denied"
    STEP_UP_REQUIRED = "step_up_required"
    ACCESS_REFUSED = "access_refused"
    DEVICE_BOUND = "device_bound"
    DEVICE_BINDING_REFUSED = "device_binding_refused"
    DEVICE_BINDING_MISSING = "device_binding_missing"
    CSRF_REFUSED = "csrf_refused"
    RATE_LIMITED = "rate_limited"
    KEY_RING_CHANGED = "key_ring_changed"
    CLIENT_CREDENTIALS_CHANGED = "client_credentials_changed"


# Events that an anonymous client cannot trigger at will.
RARE: Final = frozenset(
    {
        AuditEvent.SIGNED_IN,
        AuditEvent.SIGN_IN_SUPERSEDED,
        AuditEvent.DEVICE_BOUND,
        AuditEvent.SESSION_ENDED,
        AuditEvent.PROVIDER_LOGOUT_ACCEPTED,
        AuditEvent.SECURITY_EVENT_ACCEPTED,
        AuditEvent.KEY_RING_CHANGED,
        AuditEvent.CLIENT_CREDENTIALS_CHANGED,
    }
)

ENDED_BY: Final[Mapping[EndReason, EndedBy]] = {
    EndReason.IDLE_TIMEOUT: "limit",
    EndReason.ABSOLUTE_TIMEOUT: "limit",
    EndReason.NO_REFRESH_TOKEN: "limit",
    EndReason.ROTATION_LOST: "limit",
    EndReason.KEY_REMOVED: "operator",
    EndReason.DEVICE_BINDING_LOST: "limit",  # never of a record: it stays for the browser that has the key
    EndReason.SIGNED_OUT: "person",
    EndReason.SIGNED_OUT_ELSEWHERE: "person",
    EndReason.REPLACED: "person",
    EndReason.BACK_CHANNEL: "provider",
    EndReason.FRONT_CHANNEL: "provider",
    EndReason.UNIVERSAL_LOGOUT: "provider",
    EndReason.SECURITY_EVENT: "provider",
    EndReason.REFRESH_TOKEN_INVALID: "provider",
    EndReason.PROVIDER_DENIED: "provider",
    EndReason.SUBJECT_CHANGED: "provider",
    EndReason.ID_TOKEN_MISMATCH: "provider",
    EndReason.OPERATOR: "operator",
}

_CLIENT: Final[ContextVar[Callable[[], str] | None]] = ContextVar("client address", default=None)
_SECURITY_EVENT: Final[ContextVar[str | None]] = ContextVar("security event", default=None)
_SUBJECT_FORMAT: Final[ContextVar[SubjectAs]] = ContextVar("audit subject format", default="fingerprint")


def set_client_address(client_address: Callable[[], str]) -> None:
    """Binds the client address to this task and the tasks it starts.

    The address is resolved only when an event is recorded.
    """
    _CLIENT.set(client_address)


def set_subject_format(subject_format: SubjectAs) -> None:
    """Binds to this task and the tasks it starts whether lines name a user by `sub` or by fingerprint.

    The fingerprint is the one that `bff sessions` shows.
    """
    if _SUBJECT_FORMAT.get() != subject_format:
        _SUBJECT_FORMAT.set(subject_format)


@contextmanager
def caused_by(security_event: str) -> Iterator[None]:
    """Every line that is recorded inside, also by tasks that are started there, names this security event."""
    token = _SECURITY_EVENT.set(security_event)
    try:
        yield
    finally:
        _SECURITY_EVENT.reset(token)


def record(
    event: AuditEvent, reason: str, *, session: SessionView | None = None, **facts: str | int | bool | float | None
) -> None:
    """`reason` comes from a closed list where there is one. No field holds a secret."""
    fields: dict[str, object] = {"event": event.value, "reason": reason}
    if session is not None:
        fields["session"] = session.fingerprint
        fields["subject"] = session.user.sub if _SUBJECT_FORMAT.get() == "sub" else session.person
        if session.provider_session is not None:
            fields["provider_session"] = session.provider_session
    if (security_event := _SECURITY_EVENT.get()) is not None:
        fields["security_event"] = security_event
    if (client := _CLIENT.get()) is not None:
        fields["client"] = client()
    level = logging.INFO if event in RARE else logging.WARNING
    logger.log(level, event.value.replace("_", " "), extra={**fields, **facts})
