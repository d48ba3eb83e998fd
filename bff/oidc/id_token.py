"""ID token validation: every claim that we rely on (OIDC Core sections 2, 3.1.3.7 and 12.2). Times are in seconds."""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeGuard

from bff.base64url import encode_base64url, require_base64url
from bff.errors import SignInFailed
from bff.oidc.algorithms import digest_name
from bff.oidc.jwks import KeySet
from bff.oidc.jws import MAX_COMPACT_LENGTH, JwsKeyUnknown, JwsRefused, Verified, verify
from bff.oidc.strict_json import read_object

# Access tokens (at+jwt) and logout tokens of the same issuer have their own typ. Okta's ID tokens have none.
TYPES: Final = (None, "jwt")
# Claims about the token and the authentication; all others are about the user.
_PROTOCOL: Final = frozenset(
    [
        *("iss", "sub", "aud", "azp", "exp", "nbf", "iat", "jti", "typ", "ver", "idp", "sid", "session_state"),
        *("auth_time", "nonce", "acr", "amr", "at_hash", "c_hash", "s_hash", "rat"),
    ]
)
MAX_SUB_LENGTH: Final = 255  # OIDC Core section 2
LATEST: Final = 253_402_300_800  # the year 10000: no clock or store can represent later times


class IdTokenRefused(SignInFailed):
    """The ID token failed validation. `detail` is our own text and contains no part of the token."""


class WrongAudience(IdTokenRefused):
    """The signature is the issuer's, and the token is for other clients only."""


class WrongIssuer(IdTokenRefused):
    """The signature is by a key of our provider, and the token names another issuer."""


class UnknownKey(IdTokenRefused):
    """No key has the token's kid: refetch the keys once, then validate again."""

    def __init__(self, kid: str) -> None:
        super().__init__("no key has its kid")
        self.kid = kid


@dataclass(frozen=True, slots=True)
class IdTokenClaims:
    """A validated ID token. A user is `iss` + `sub`, never an e-mail address. `claims` is the whole payload."""

    iss: str
    sub: str
    aud: tuple[str, ...]
    exp: float
    iat: float
    nonce: str | None = field(default=None, repr=False)
    auth_time: float | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    sid: str | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


def validate_id_token(
    compact: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    nonce: str,
    now: float,
    skew: float,
    algorithms: Collection[str],
    access_token: str | None = None,
    max_age: int | None = None,
    acr_values: Collection[str] | None = None,
) -> IdTokenClaims:
    """Validates the ID token of a sign-in (OIDC Core section 3.1.3.7).

    Raises IdTokenRefused, or its subclass UnknownKey. `max_age` (seconds) and `acr_values` are what the authorization
    request contained, None if absent.
    """
    verified = _verified(compact, keys, algorithms)
    token = _validate_claims(verified, issuer, client_id, now, skew)
    # Okta's own verifier skips this check when the claim is missing; we sent a nonce, so it is required.
    if token.nonce is None or not _equal(token.nonce, nonce):
        raise IdTokenRefused("nonce: missing, or of another sign-in")
    if access_token is not None:
        _validate_at_hash(verified, access_token)
    if max_age is not None:
        if token.auth_time is None:
            raise IdTokenRefused("auth_time: missing, although max_age was requested")
        if now - skew > token.auth_time + max_age:
            raise IdTokenRefused("auth_time: the authentication is older than max_age")
    if acr_values is not None and token.acr not in acr_values:
        raise IdTokenRefused("acr: not one of the requested values")
    return token


def validate_refreshed_id_token(
    compact: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    now: float,
    skew: float,
    algorithms: Collection[str],
    nonce: str | None = None,
    auth_time: float | None = None,
    access_token: str | None = None,
) -> IdTokenClaims:
    """Validates the ID token of a refresh (OIDC Core section 12.2). Raises IdTokenRefused, or its subclass UnknownKey.

    The caller compares `sub` with the session's: another subject ends the session, whereas an invalid token only
    leaves the previous one in place. `nonce` and `auth_time` are those of the last full sign-in, None if unknown: the
    token may omit them, but must not contain other values.
    """
    verified = _verified(compact, keys, algorithms)
    token = _validate_claims(verified, issuer, client_id, now, skew)
    if nonce is not None and token.nonce is not None and not _equal(token.nonce, nonce):
        raise IdTokenRefused("nonce: of another sign-in")
    if auth_time is not None and token.auth_time is not None and token.auth_time != auth_time:
        raise IdTokenRefused("auth_time: of another sign-in")
    if access_token is not None:
        _validate_at_hash(verified, access_token)
    return token


def user_claims_of(claims: Iterable[str]) -> frozenset[str]:
    """The names among `claims` that are about the user."""
    return frozenset(claims) - _PROTOCOL


def claims_of_validated(compact: str) -> Mapping[str, Any]:
    """The claims of an ID token that was validated before; empty if it cannot be read."""
    try:
        payload = require_base64url(compact.split(".")[1])
        return read_object(payload, max_bytes=MAX_COMPACT_LENGTH)
    except (ValueError, IndexError):
        return {}


def is_subject(value: object) -> TypeGuard[str]:
    """1 to 255 printable ASCII characters (OIDC Core section 2)."""
    return isinstance(value, str) and 0 < len(value) <= MAX_SUB_LENGTH and value.isascii() and value.isprintable()


def is_time(value: object) -> TypeGuard[float]:
    """A NumericDate (RFC 7519 section 2) in the range of a clock. Python's `true` is an int, and is rejected."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LATEST


def validate_audience(claims: Mapping[str, Any], client_id: str) -> tuple[str, ...]:
    """Validates aud and azp (OIDC Core section 3.1.3.7, rules 3 to 5): this client, and no other audience.

    Raises IdTokenRefused, and its subclass WrongAudience for a token of other clients.
    """
    aud = claims.get("aud")
    audiences = tuple(aud) if isinstance(aud, list) else (aud,)
    if not audiences or not all(isinstance(audience, str) for audience in audiences):
        raise IdTokenRefused("aud: missing, or not text")
    if client_id not in audiences:
        raise WrongAudience("aud: not this client")
    if any(audience != client_id for audience in audiences):
        raise IdTokenRefused("aud: also for another client")
    if "azp" in claims and claims["azp"] != client_id:
        raise IdTokenRefused("azp: issued to another client")
    return audiences


def _verified(compact: str, keys: KeySet, algorithms: Collection[str]) -> Verified:
    try:
        return verify(compact, keys, algorithms=algorithms, types=TYPES)
    except JwsKeyUnknown as unknown:
        raise UnknownKey(unknown.kid) from None
    except JwsRefused as refused:
        raise IdTokenRefused(str(refused)) from None


def _validate_claims(verified: Verified, issuer: str, client_id: str, now: float, skew: float) -> IdTokenClaims:
    claims = verified.claims
    if not issuer or not isinstance(claims.get("iss"), str):
        raise IdTokenRefused("iss: missing, or not text")
    if claims["iss"] != issuer:
        raise WrongIssuer("iss: another issuer")
    audiences = validate_audience(claims, client_id)
    if not is_subject(claims.get("sub")):
        raise IdTokenRefused("sub: missing, or not 1 to 255 printable ASCII characters")
    for name in ("exp", "iat"):
        if not is_time(claims.get(name)):
            raise IdTokenRefused(f"{name}: missing, or not a time")
    for name in ("nbf", "auth_time"):
        if name in claims and not is_time(claims[name]):
            raise IdTokenRefused(f"{name}: not a time")
    if now - skew >= claims["exp"]:  # "on or after" (RFC 7519 section 4.1.4)
        raise IdTokenRefused("exp: it has expired")
    for name in ("iat", "nbf", "auth_time"):
        if claims.get(name, 0) > now + skew:
            raise IdTokenRefused(f"{name}: in the future; check the clocks")
    if "nonce" in claims and not isinstance(claims["nonce"], str):
        raise IdTokenRefused("nonce: not a string")
    acr, sid = claims.get("acr"), claims.get("sid")
    return IdTokenClaims(
        iss=issuer,
        sub=claims["sub"],
        aud=audiences,
        exp=float(claims["exp"]),
        iat=float(claims["iat"]),
        nonce=claims.get("nonce"),
        auth_time=float(claims["auth_time"]) if "auth_time" in claims else None,
        acr=acr if isinstance(acr, str) else None,
        amr=_authentication_methods(claims.get("amr")),
        sid=sid if isinstance(sid, str) and sid else None,
        claims=claims,
    )


def _authentication_methods(amr: object) -> tuple[str, ...]:
    """The claim `amr`: an array of strings; some providers give a single one as a string."""
    methods = amr if isinstance(amr, list) else [amr]
    return tuple(method for method in methods if isinstance(method, str))


def _validate_at_hash(verified: Verified, access_token: str) -> None:
    """OIDC Core section 3.1.3.6: optional in the code flow, but if present it must match the access token."""
    if "at_hash" not in verified.claims:
        return
    digest = hashlib.new(digest_name(verified.alg), access_token.encode()).digest()
    expected = encode_base64url(digest[: len(digest) // 2])
    at_hash = verified.claims["at_hash"]
    if not isinstance(at_hash, str) or not _equal(at_hash, expected):
        raise IdTokenRefused("at_hash: of another access token")


def _equal(left: str, right: str) -> bool:
    """In constant time, so that timing reveals nothing about the expected value."""
    return hmac.compare_digest(left.encode(), right.encode())
