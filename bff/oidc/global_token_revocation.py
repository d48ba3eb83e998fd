"""Okta Universal Logout: the signed request that ends all of a user's sessions (draft Global Token Revocation).

Okta's documentation differs on `iss` (the org's URL, or the ID token's) and shows a header without `kid`: both issuers
are accepted, and without a kid every key is tried. Times are in seconds.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from bff.errors import InvalidRequest, RevocationRefused
from bff.oidc.id_token import is_subject, is_time
from bff.oidc.jwks import KeySet
from bff.oidc.jws import JwsKeyUnknown, JwsRefused, Verified, validate_form, verify
from bff.oidc.logout import is_identifier
from bff.oidc.strict_json import JsonRefused, read_object

TYPES: Final = ("global-token-revocation+jwt",)
SKEW: Final = 300.0  # Okta sets nbf five minutes back and exp five minutes ahead, so the same clock skew is allowed
MAX_EMAIL_LENGTH: Final = 254
MAX_BODY_BYTES: Final = 8192
# The request is unauthenticated while keys are tried: a published set of a hundred keys must not cost a hundred
# verifications.
MAX_KEYS_TRIED: Final = 8


class RevocationKeyUnknown(RevocationRefused):
    """No key has the token's kid: refetch the keys once, then validate again."""

    def __init__(self, kid: str) -> None:
        super().__init__("no key has its kid")
        self.kid = kid


@dataclass(frozen=True, slots=True)
class RevocationToken:
    """Okta's authorization of one request. `jti` is single-use; `iat` is when Okta issued it, None if absent."""

    jti: str
    iat: float | None


@dataclass(frozen=True, slots=True)
class EmailSubject:
    email: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssuerSubject:
    iss: str
    sub: str


Subject: TypeAlias = EmailSubject | IssuerSubject


def validate_revocation_token_form(compact: str, algorithms: Collection[str]) -> None:
    """Validates what needs no key, before keys are fetched. Raises RevocationRefused."""
    try:
        validate_form(compact, algorithms=algorithms, types=TYPES)
    except JwsRefused as refused:
        raise RevocationRefused(str(refused)) from None


def validate_revocation_token(
    compact: str,
    keys: KeySet,
    *,
    issuers: Collection[str],
    client_id: str,
    endpoint: str,
    now: float,
    algorithms: Collection[str],
) -> RevocationToken:
    """Validates the bearer token.

    `endpoint` is our own URL, without query and fragment. Raises RevocationRefused, or its subclass
    RevocationKeyUnknown.
    """
    try:
        claims = _verified(compact, keys, algorithms).claims
    except JwsKeyUnknown as unknown:
        raise RevocationKeyUnknown(unknown.kid) from None
    except JwsRefused as refused:
        raise RevocationRefused(str(refused)) from None
    if claims.get("iss") not in issuers:
        raise RevocationRefused("iss: missing, or another issuer")
    if claims.get("aud") not in (endpoint, [endpoint]):
        raise RevocationRefused("aud: missing, or another endpoint")
    if claims.get("sub") != client_id:
        raise RevocationRefused("sub: missing, or another client")
    exp, nbf, iat, jti = (claims.get(name) for name in ("exp", "nbf", "iat", "jti"))
    if not is_time(exp) or now - SKEW >= exp:
        raise RevocationRefused("exp: missing, or expired")
    for name, time in (("nbf", nbf), ("iat", iat)):
        if time is not None and (not is_time(time) or time > now + SKEW):
            raise RevocationRefused(f"{name}: in the future, or not a time")
    if not is_identifier(jti):
        raise RevocationRefused("jti: missing, or not a short string")
    return RevocationToken(jti, float(iat) if is_time(iat) else None)


def read_subject(body: bytes) -> Subject:
    """The subject to sign out. Raises InvalidRequest for a malformed body or an unsupported subject format."""
    try:
        document = read_object(body, max_bytes=MAX_BODY_BYTES)
    except JsonRefused as refused:
        raise InvalidRequest(f"The body is {refused}.") from None
    match document.get("sub_id"):
        case {"format": "email", "email": email} if _is_email(email):
            return EmailSubject(email)
        case {"format": "iss_sub", "iss": str(iss), "sub": sub} if is_subject(sub):
            return IssuerSubject(iss, sub)
        case _:
            raise InvalidRequest("sub_id is missing, malformed, or of another format than email and iss_sub.")


def _verified(compact: str, keys: KeySet, algorithms: Collection[str]) -> Verified:
    try:
        return verify(compact, keys, algorithms=algorithms, types=TYPES)
    except JwsKeyUnknown:
        raise
    except JwsRefused as refused:
        # Without a kid several keys are candidates, and `verify` accepts only one.
        for key in keys.keys[:MAX_KEYS_TRIED]:
            try:
                return verify(compact, KeySet((key,)), algorithms=algorithms, types=TYPES)
            except JwsRefused:
                continue
        raise refused


def _is_email(value: Any) -> bool:
    """No address validation: a short printable text with an `@`, as ID tokens contain it."""
    return isinstance(value, str) and 2 < len(value) <= MAX_EMAIL_LENGTH and value.isprintable() and "@" in value[1:]
