"""Security events: the types of CAEP 1.0, RISC 1.0 and SSF 1.0 by their short names, and what each of them causes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from bff.oidc.security_event_subject import Subject

# `end`: the named session, or all sessions of the user if none is named. `end-all`: all sessions of the user. `renew`:
# the tokens are refreshed before the next request is forwarded. `step-up`: the next request gets 401
# `step_up_required`. `record`: an audit line and a count, nothing else.
Action: TypeAlias = Literal["end", "end-all", "renew", "step-up", "record"]
StreamStatus: TypeAlias = Literal["enabled", "paused", "disabled"]

CAEP: Final = "https://schemas.openid.net/secevent/caep/event-type/"
RISC: Final = "https://schemas.openid.net/secevent/risc/event-type/"
SSF: Final = "https://schemas.openid.net/secevent/ssf/event-type/"
SSE: Final = "https://schemas.openid.net/secevent/sse/event-type/"  # of drafts before 2023

UNKNOWN: Final = "unknown"
VERIFICATION: Final = "verification"
STREAM_UPDATED: Final = "stream-updated"

_CAEP_ACTIONS: Final[Mapping[str, Action]] = {
    "session-revoked": "end",
    "credential-change": "end-all",
    "token-claims-change": "renew",
    "assurance-level-change": "step-up",
    "device-compliance-change": "step-up",
    "risk-level-change": "record",
    "session-established": "record",
    "session-presented": "record",
}
_RISC_ACTIONS: Final[Mapping[str, Action]] = {
    "account-disabled": "end-all",
    "account-purged": "end-all",
    "sessions-revoked": "end-all",
    "credential-compromise": "end-all",
    "account-credential-change-required": "record",
    "account-enabled": "record",
    "identifier-changed": "record",
    "identifier-recycled": "record",
    "recovery-activated": "record",
    "recovery-information-changed": "record",
}
DEFAULT_ACTIONS: Final[Mapping[str, Action]] = {**_CAEP_ACTIONS, **_RISC_ACTIONS}
_NAMES: Final[Mapping[str, str]] = {
    **{CAEP + name: name for name in _CAEP_ACTIONS},
    **{RISC + name: name for name in _RISC_ACTIONS},
    **{base + name: name for base in (SSF, SSE) for name in (VERIFICATION, STREAM_UPDATED)},
    RISC + VERIFICATION: VERIFICATION,
}


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """An event about a user or a session. `at` is when it happened, in seconds of the transmitter's clock.

    `subject` is None if its format is not supported. `harmless`: a factor was added, the assurance level rose, or the
    device became compliant.
    """

    name: str
    at: float
    subject: Subject | None
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """The transmitter tests the stream (SSF section 8.1.4). `state` is what the receiver asked it to repeat."""

    state: str | None


@dataclass(frozen=True, slots=True)
class StreamUpdated:
    """The transmitter changed the status of the stream (SSF section 8.1.5). None: a status that is not defined."""

    status: StreamStatus | None


AnyEvent: TypeAlias = SecurityEvent | Verification | StreamUpdated


def short_name(event_type: str) -> str:
    """The last part of a known event type, `unknown` for any other."""
    return _NAMES.get(event_type, UNKNOWN)


def is_harmless(name: str, payload: Mapping[str, Any]) -> bool:
    """Whether this event describes an improvement, which must not sign anybody out."""
    match name:
        case "credential-change":
            return payload.get("change_type") == "create"
        case "assurance-level-change":
            return payload.get("change_direction") == "increase"
        case "device-compliance-change":
            return payload.get("current_status") == "compliant"
        case _:
            return False


def action_for(event: SecurityEvent, actions: Mapping[str, Action]) -> Action:
    """What an event causes. `actions` are the operator's changes to the defaults, by short name."""
    action = actions.get(event.name, DEFAULT_ACTIONS.get(event.name, "record"))
    if not event.harmless or action in ("renew", "record"):
        return action
    # The tokens of a session whose assurance or device improved may be out of date; a new factor changes no token.
    return "record" if event.name == "credential-change" else "renew"


def requested_types(actions: Mapping[str, Action]) -> tuple[str, ...]:
    """The event types that a receiver requests of a transmitter: those that cause more than a record."""
    return tuple(
        uri for uri, name in _NAMES.items() if actions.get(name, DEFAULT_ACTIONS.get(name, "record")) != "record"
    )
