"""Security Event Tokens (RFC 8417) as SSF 1.0 section 4.1 profiles them. Times are in seconds since the epoch.

A SET has no `exp`: an event stays true however late it arrives. What bounds a late or repeated one is the time of the
event, which the caller compares with the sign-in of each session.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias

from bff.errors import BffError
from bff.oidc.id_token import LATEST, is_time
from bff.oidc.jwks import KeySet
from bff.oidc.jws import JwsKeyUnknown, JwsRefused, validate_form, verify
from bff.oidc.logout import is_identifier
from bff.oidc.security_event_subject import read_subject
from bff.oidc.security_events import (
    STREAM_UPDATED,
    VERIFICATION,
    AnyEvent,
    SecurityEvent,
    StreamUpdated,
    Verification,
    is_harmless,
    short_name,
)

TYPES: Final = ("secevent+jwt", "application/secevent+jwt")
MAX_EVENTS: Final = 20  # in one token; SSF recommends one
MAX_STATE_LENGTH: Final = 1024
MAX_AUDIENCES: Final = 20

# RFC 8935 section 2.4, for the transmitter.
DeliveryError: TypeAlias = Literal[
    "invalid_request", "invalid_key", "invalid_issuer", "invalid_audience", "authentication_failed"
]
Unit: TypeAlias = Literal["seconds", "milliseconds"]


class SecurityEventRefused(BffError):
    """The token is invalid, and nothing changes. `err` is for the transmitter; `detail` has no text of the token."""

    code: ClassVar[str] = "security_event_refused"
    title: ClassVar[str] = "The security event is not accepted"

    def __init__(self, detail: str | None = None, *, err: DeliveryError = "invalid_request") -> None:
        super().__init__(detail)
        self.err = err


class SecurityEventKeyUnknown(SecurityEventRefused):
    """No key has the token's kid: refetch the keys once, then validate again."""

    def __init__(self, kid: str) -> None:
        super().__init__("no key has its kid", err="invalid_key")
        self.kid = kid


class SecurityEventAudienceRefused(SecurityEventRefused):
    """The signature is the transmitter's, but the token is for another audience. `audiences` are for the log."""

    def __init__(self, audiences: tuple[str, ...]) -> None:
        super().__init__("aud: missing, or not this receiver", err="invalid_audience")
        self.audiences = audiences


@dataclass(frozen=True, slots=True)
class SecurityEventToken:
    """`jti` counts once per transmitter."""

    jti: str
    iat: float
    events: tuple[AnyEvent, ...] = field(repr=False)


def validate_security_event_token_form(compact: str, algorithms: Collection[str]) -> None:
    """Validates what needs no key, before keys are fetched. Raises SecurityEventRefused."""
    try:
        validate_form(compact, algorithms=algorithms, types=TYPES)
    except JwsRefused as refused:
        raise SecurityEventRefused(str(refused)) from None


def validate_security_event_token(
    compact: str,
    keys: KeySet,
    *,
    issuer: str,
    audiences: Collection[str],
    algorithms: Collection[str],
    event_timestamps: Unit,
) -> SecurityEventToken:
    """Validates a SET: signature, `typ`, `iss`, `aud`, `iat`, `jti` and the shape of `events`.

    `event_timestamps` is the unit of `event_timestamp`, which differs between transmitters; `iat` is always in seconds.
    Raises SecurityEventRefused, or its subclasses SecurityEventKeyUnknown and SecurityEventAudienceRefused.
    """
    try:
        claims = verify(compact, keys, algorithms=algorithms, types=TYPES).claims
    except JwsKeyUnknown as unknown:
        raise SecurityEventKeyUnknown(unknown.kid) from None
    except JwsRefused as refused:
        raise SecurityEventRefused(str(refused), err="invalid_key") from None
    if not issuer or claims.get("iss") != issuer:
        raise SecurityEventRefused("iss: missing, or another issuer", err="invalid_issuer")
    _validate_audience(claims.get("aud"), audiences)
    iat, jti = claims.get("iat"), claims.get("jti")
    if not is_time(iat):
        raise SecurityEventRefused("iat: missing, or not a time in seconds")
    if not is_identifier(jti):
        raise SecurityEventRefused("jti: missing, or not a short string")
    events = claims.get("events")
    if not isinstance(events, dict) or not 0 < len(events) <= MAX_EVENTS:
        raise SecurityEventRefused("events: missing, empty, or too many")
    if not all(isinstance(payload, dict) for payload in events.values()):
        raise SecurityEventRefused("events: a payload is not an object")
    read = tuple(
        _event(short_name(event_type), payload, claims.get("sub_id"), float(iat), event_timestamps)
        for event_type, payload in events.items()
    )
    return SecurityEventToken(jti, float(iat), read)


def _validate_audience(aud: Any, accepted: Collection[str]) -> None:
    named = tuple(aud) if isinstance(aud, list) else (aud,)
    if not named or len(named) > MAX_AUDIENCES or not all(isinstance(audience, str) for audience in named):
        raise SecurityEventAudienceRefused(())
    if not set(named) & set(accepted):
        raise SecurityEventAudienceRefused(named)


def _event(name: str, payload: Mapping[str, Any], sub_id: Any, iat: float, unit: Unit) -> AnyEvent:
    if name == VERIFICATION:
        state = payload.get("state")
        return Verification(state if isinstance(state, str) and 0 < len(state) <= MAX_STATE_LENGTH else None)
    if name == STREAM_UPDATED:
        status = payload.get("status")
        return StreamUpdated(status if status in ("enabled", "paused", "disabled") else None)
    at = _event_time(payload.get("event_timestamp"), iat, unit)
    return SecurityEvent(name, at, read_subject(sub_id, payload.get("subject")), is_harmless(name, payload))


def _event_time(timestamp: Any, iat: float, unit: Unit) -> float:
    """When the event happened; without a valid time of its own, when the token was issued."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float) or timestamp < 0:
        return iat
    # Any later time is in the future all the same, and an integer of a thousand digits fits no float.
    timestamp = min(timestamp, LATEST * 1000)
    return timestamp / 1000 if unit == "milliseconds" else float(timestamp)
