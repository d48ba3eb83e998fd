"""The words of the token families: the policy, the answers, and what can be told about a family.

Times are seconds since the epoch, lifetimes are seconds.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias


class Replay(StrEnum):
    """What the previous refresh token gets when it is presented again inside the grace period. Okta does not say."""

    SAME_SUCCESSOR = "same_successor"
    SIBLING = "sibling"  # a further successor; the first one is revoked
    CLOSED_BY_SUCCESSOR = "closed_by_successor"  # the same successor, until that one has been used: then it is reuse
    OLD_TOKEN = "old_token"  # the old token is handed back, and is current again beside its successor
    OLD_TOKEN_STALE = "old_token_stale"  # the old token is handed back, and dies with its grace all the same


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """How the provider treats refresh tokens. Times are in seconds; None means no limit."""

    mode: Literal["persistent", "rotate"] = "rotate"
    grace: float = 30
    replay: Replay = Replay.SAME_SUCCESSOR
    on_reuse: Literal["revoke_family", "refuse"] = "revoke_family"
    family_scope: Literal["sign_in", "user_and_client"] = "sign_in"
    access_token_lifetime: int = 3600
    refresh_token_lifetime: float | None = None  # absolute: inherited from the first token, as at Okta
    refresh_token_idle: float | None = None
    answer_refresh_token: bool = True  # False: nothing rotates and no answer names a refresh token
    answer_id_token: bool = True


@dataclass(frozen=True, slots=True)
class SignIn:
    """What a person and a client agreed on when the family began."""

    sub: str
    client_id: str
    issuer: str = ""
    scope: frozenset[str] = frozenset({"openid", "offline_access"})
    sid: str = ""
    auth_time: int = 0
    acr: str = ""
    amr: tuple[str, ...] = ("pwd",)
    jkt: str = ""  # thumbprint of the DPoP key that its tokens are bound to


class Refusal(StrEnum):
    UNKNOWN = "unknown"
    MISMATCHED_CLIENT = "mismatched_client"
    MISMATCHED_AUTHORIZATION_SERVER = "mismatched_authorization_server"
    REVOKED = "revoked"
    EXPIRED = "expired"
    REUSED = "reused"
    SCOPES_DENIED = "scopes_denied"
    USER_NOT_ASSIGNED = "user_not_assigned"


@dataclass(frozen=True, slots=True)
class Issued:
    """A successful answer. `access_token` is the access token's id (`jti`); who signs tokens builds one around it."""

    family_id: str
    sign_in: SignIn
    scope: frozenset[str]
    access_token: str
    access_token_expires_at: float
    refresh_token: str | None = field(repr=False)
    id_token: bool = True
    rotated: bool = False
    resend: bool = False  # the token presented had been exchanged before, and its grace was still running
    older_than_previous: bool = False  # a resend of a token whose successor had itself been exchanged already


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Refusal
    family_id: str | None = None


RefreshOutcome: TypeAlias = Issued | Refused


@dataclass(frozen=True, slots=True)
class ReuseAlarm:
    """A rotated token was presented when it no longer had a grace. `fingerprint` names the token without telling it."""

    at: float
    family_id: str
    fingerprint: str
    retired_at: float


@dataclass(frozen=True, slots=True)
class AccessToken:
    id: str
    family_id: str
    sign_in: SignIn
    scope: frozenset[str]
    issued_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class FamilyView:
    """What can be told of a family: no token in it."""

    id: str
    sub: str
    client_id: str
    issued_at: float
    rotation_count: int
    resends: int
    live_refresh_tokens: int
    access_token_issued_at: float | None
    access_token_expires_at: float | None
    revoked: str | None


def fingerprint(value: str) -> str:
    """Eight hexadecimal digits that name a secret without telling it."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]
