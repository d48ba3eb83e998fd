"""The session: the signed-in user, the tokens kept for them, and its end. Times are seconds since the epoch."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NewType, Protocol

from bff.base64url import encode_base64url
from bff.session.device_binding import DeviceBinding

# The store key of a session: SHA-256 of the secret in the cookie, base64url without padding (43 characters).
SessionKey = NewType("SessionKey", str)


class EndReason(StrEnum):
    """Why a session ended: a closed list, returned once by `/auth/session` and counted."""

    IDLE_TIMEOUT = "idle_timeout"
    ABSOLUTE_TIMEOUT = "absolute_timeout"
    SIGNED_OUT = "signed_out"
    SIGNED_OUT_ELSEWHERE = "signed_out_elsewhere"
    REPLACED = "replaced"
    BACK_CHANNEL = "back_channel"
    FRONT_CHANNEL = "front_channel"
    UNIVERSAL_LOGOUT = "universal_logout"
    SECURITY_EVENT = "security_event"
    OPERATOR = "operator"
    REFRESH_TOKEN_INVALID = "refresh_token_invalid"
    NO_REFRESH_TOKEN = "no_refresh_token"
    PROVIDER_DENIED = "provider_denied"
    ROTATION_LOST = "rotation_lost"
    SUBJECT_CHANGED = "subject_changed"
    ID_TOKEN_MISMATCH = "id_token_mismatch"
    KEY_REMOVED = "key_removed"
    DEVICE_BINDING_LOST = "device_binding_lost"


@dataclass(frozen=True, slots=True)
class SessionId:
    """The 256-bit random secret that the cookie carries, sealed. Never stored, never logged."""

    secret: bytes = field(repr=False)
    key: SessionKey = field(init=False, compare=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256(self.secret).digest()
        object.__setattr__(self, "key", SessionKey(encode_base64url(digest)))


def fingerprint(key: SessionKey) -> str:
    """Identifies a session in logs: eight hex digits that give no access and are no store key."""
    return public_id(key)[:8]


def public_id(key: SessionKey) -> str:
    """Identifies a session to upstreams: 32 hex digits that begin with its fingerprint, and give no access either."""
    return hashlib.sha256(b"fingerprint:" + key.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class User:
    """The signed-in user.

    `claims` is the allow-list that `/auth/session` returns; a user is identified by issuer + `sub`.
    """

    sub: str
    email: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Granted tokens and their times.

    `usable_until` is slightly before the actual expiry, counted from before the request was sent, so that no token
    expires on its way to an upstream. `refresh_at` is when a refresh becomes due.
    """

    access_token: str = field(repr=False)
    usable_until: float
    refresh_at: float
    received_at: float
    refresh_token: str | None = field(default=None, repr=False)
    id_token: str | None = field(default=None, repr=False)
    scope: str = ""

    @property
    def refreshable(self) -> bool:
        return self.refresh_token is not None


@dataclass(frozen=True, slots=True)
class RefreshAttempt:
    """A refresh in progress or of unknown outcome, with the lease that ensures single flight (`lease_until`).

    `first_sent_at` anchors the provider's grace period: the first time the current refresh token may have reached the
    provider. None while it certainly has not. `previous_first_sent_at` is its value before this reservation.
    """

    attempt_id: str
    tries: int
    first_sent_at: float | None
    lease_until: float
    not_before: float = 0.0
    previous_first_sent_at: float | None = None
    after_grace: bool = False
    denied_at: float | None = None  # when the provider first answered access_denied
    # When the provider first refused this refresh token without saying that it is invalid, and the client credentials
    # (`ClientProof.credentials`) that the request was sent with.
    refused_at: float | None = None
    refused_with: str = ""
    # The protected resource that the access token is requested for (RFC 8707); None for the session's own token.
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class ConcurrentSuccessor:
    """The token that a second holder received concurrently; tried once if the session's own
    refresh token is rejected.
    """

    refresh_token: str = field(repr=False)
    rotation: int  # the session's rotation when it was requested
    tries: int  # tries of the attempt that received it: the highest is the provider's latest response


class _Identified(Protocol):
    """The fields that say whose session it is."""

    @property
    def key(self) -> SessionKey: ...
    @property
    def issuer(self) -> str: ...
    @property
    def user(self) -> User: ...
    @property
    def signed_in_at(self) -> float: ...
    @property
    def browser(self) -> str | None: ...
    @property
    def withdrawn_claims(self) -> Sequence[str] | None: ...


class SessionFacts:
    """What follows from the fields of a session, whole or as a view (`bff.session.session_view`)."""

    __slots__ = ()

    @property
    def fingerprint(self: _Identified) -> str:
        return fingerprint(self.key)

    @property
    def public_id(self: _Identified) -> str:
        return public_id(self.key)

    @property
    def person(self: _Identified) -> str:
        """The same for all sessions of a user, without naming them: eight hex digits."""
        return hashlib.sha256(f"person:{self.issuer}\n{self.user.sub}".encode()).hexdigest()[:8]

    def claim(self: _Identified, name: str) -> Any:
        """What the provider states now; None for a claim that the session lacks, or that was withdrawn."""
        if name == "sub":
            return self.user.sub
        return None if name in (self.withdrawn_claims or ()) else self.user.claims.get(name)

    def replaces(self: _Identified, other: _Identified) -> bool:
        """Whether the same user signed in again, in the same browser."""
        same_person = (self.issuer, self.user.sub) == (other.issuer, other.user.sub)
        later = self.key != other.key and self.signed_in_at >= other.signed_in_at
        return same_person and later and self.browser is not None and self.browser == other.browser


@dataclass(frozen=True, slots=True)
class Session(SessionFacts):
    """One signed-in browser. `version` increases with every write, `rotation` only when the tokens change."""

    key: SessionKey
    version: int
    rotation: int
    issuer: str
    client_id: str
    user: User
    tokens: Tokens
    signed_in_at: float
    ends_at: float
    attempt: RefreshAttempt | None = None
    concurrent_successor: ConcurrentSuccessor | None = None
    # fingerprint of the access token whose rejection by an upstream has already caused a refresh
    rejected_token: str | None = None
    sid: str | None = None
    browser: str | None = None  # hash of the browser-id cookie
    auth_time: float | None = None
    acr: str | None = None
    amr: Sequence[str] | None = None  # a list, as JSON has it
    # Claims of the user that an ID token of a refresh no longer had: for display they stay as they were.
    withdrawn_claims: Sequence[str] | None = None
    nonce: str | None = field(default=None, repr=False)  # of the last full sign-in, a step-up included
    sign_in_began_at: float | None = None  # when the browser was redirected to the provider, by the store's clock
    client: str | None = None  # a coarse hint for its owner: "Firefox on Windows"
    address: str | None = None  # the network that it was signed in from: "203.0.113.0/24"
    # The key that the tokens are bound to (RFC 9449); None for bearer tokens.
    dpop_key: str | None = field(default=None, repr=False)
    # Of Okta's `session.id` claim: the session there, as the System Log names it; `sid` is another value.
    provider_session: str | None = None
    # The resources that the sign-in requested (RFC 8707): a refresh may request a token for one of these only.
    resources: Sequence[str] | None = None
    # Access tokens for other audiences, by name (`bff.session.audience_tokens`).
    audience_tokens: Mapping[str, Any] | None = field(default=None, repr=False)
    # When a security event required a new authentication: until then no request is forwarded.
    step_up_required_at: float | None = None
    # The key of the browser that has to renew the bound cookie (DBSC); None for a session of a bare cookie.
    device_binding: DeviceBinding | None = None
    # Unknown fields, written by a newer version: kept, so that an older replica does not drop them during a deploy. The
    # store's codec reads and writes them.
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def may_share_grant(self, other: "Session") -> bool:
        """Whether the tokens of both may belong to one grant: the same user, in one session at the provider."""
        same_person = (self.issuer, self.user.sub) == (other.issuer, other.user.sub)
        return same_person and (self.sid is None or other.sid is None or self.sid == other.sid)

    def sign_in_began_by(self, at: float) -> bool:
        """Whether a logout request of time `at` covers this session: its sign-in had started by then."""
        return (self.signed_in_at if self.sign_in_began_at is None else self.sign_in_began_at) <= at
