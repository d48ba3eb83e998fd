"""The types of the token families: the policy, the results, and the public view of a family.

Times are seconds since the epoch, lifetimes are seconds.
"""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, TypeAlias


class Replay(StrEnum):
    """The response to a replay of the previous refresh token inside the grace period. Okta does not document it."""

    SAME_SUCCESSOR = "same_successor"
    SIBLING = "sibling"  # a further successor; the first one is revoked
    CLOSED_BY_SUCCESSOR = "closed_by_successor"  # the same successor, until that one has been used: then it is reuse
    OLD_TOKEN = "old_token"  # the old token is returned, and is current again beside its successor
    OLD_TOKEN_STALE = "old_token_stale"  # the old token is returned, and still expires with its grace period


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """The provider's treatment of refresh tokens. Times are in seconds; None means no limit."""

    mode: Literal["persistent", "rotate"] = "rotate"
    grace: float = 30
    replay: Replay = Replay.SAME_SUCCESSOR
    on_reuse: Literal["revoke_family", "refuse"] = "revoke_family"
    family_scope: Literal["sign_in", "user_and_client"] = "sign_in"
    access_token_lifetime: int = 3600
    refresh_token_lifetime: float | None = None  # absolute: inherited from the first token, as at Okta
    refresh_token_idle: float | None = None
    answer_refresh_token: bool = True  # False: tokens do not rotate, and responses contain no refresh token
    answer_id_token: bool = True


@dataclass(frozen=True, slots=True)
class SignIn:
    """The parameters of the grant that began the family."""

    sub: str
    client_id: str
    issuer: str = ""
    scope: frozenset[str] = frozenset({"openid", "offline_access"})
    sid: str = ""
    auth_time: int = 0
    acr: str = ""
    amr: tuple[str, ...] = ("pwd",)
    jkt: str = ""  # thumbprint of the DPoP key that its tokens are bound to
    resources: frozenset[str] = frozenset()  # those of the authorization request (RFC 8707)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The scope and the audience of an access token. `audience` "" is the authorization server's own."""

    scope: frozenset[str]
    audience: str = ""


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
    """A successful response.

    `access_token` is the access token's id (`jti`), around which the signer builds a token.
    """

    family_id: str
    sign_in: SignIn
    scope: frozenset[str]
    access_token: str
    access_token_expires_at: float
    refresh_token: str | None = field(repr=False)
    id_token: bool = True
    rotated: bool = False
    resend: bool = False  # the token had been exchanged before, inside its grace period
    older_than_previous: bool = False  # a resend of a token whose successor has already been exchanged
    audience: str = ""  # "" is the authorization server's own


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Refusal
    family_id: str | None = None


RefreshOutcome: TypeAlias = Issued | Refused


@dataclass(frozen=True, slots=True)
class ReuseAlarm:
    """A rotated token was presented after its grace period. `fingerprint` identifies the token without revealing it."""

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
    """The public view of a family: it contains no token."""

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
    """Eight hexadecimal digits that identify a secret without revealing it."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]
