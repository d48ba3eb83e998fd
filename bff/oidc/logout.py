"""Logout messages: RP-Initiated Logout 1.0, Back-Channel Logout 1.0, Front-Channel Logout 1.0. Times are in seconds."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, TypeGuard

from bff.errors import InvalidRequest
from bff.oidc.authorization import with_query
from bff.oidc.id_token import IdTokenRefused, is_subject, is_time, validate_audience
from bff.oidc.jwks import KeySet
from bff.oidc.jws import JwsKeyUnknown, JwsRefused, validate_form, verify
from bff.oidc.metadata import ProviderMetadata

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
# The specification recommends logout+jwt and allows the plain forms for older providers; `events` distinguishes the
# types.
TYPES: Final = ("logout+jwt", "jwt", None)
MAX_ID_LENGTH: Final = 255
MAX_AGE: Final = 600.0  # of a token without exp, which providers of an early draft send


class LogoutTokenRefused(InvalidRequest):
    """The logout token is invalid, and no session changes (Back-Channel Logout section 2.8)."""


class LogoutKeyUnknown(LogoutTokenRefused):
    """No key has the token's kid: refetch the keys once, then validate again."""

    def __init__(self, kid: str) -> None:
        super().__init__("no key has its kid")
        self.kid = kid


@dataclass(frozen=True, slots=True)
class LogoutToken:
    """What to sign out: one session (`sid`), or all sessions of a user (`sub` alone). `jti` is single-use."""

    sub: str | None
    sid: str | None
    jti: str
    iat: float


def end_session_url(
    metadata: ProviderMetadata,
    *,
    id_token_hint: str | None,
    post_logout_redirect_uri: str | None,
    client_id: str,
) -> str | None:
    """The URL that ends the browser's session at the provider (RP-Initiated Logout section 2).

    None if the provider has none. The protocol puts the ID token into this URL: it gives no access to APIs, but it is a
    token, so no script may read the URL. The provider accepts an expired one; whether it accepts a missing one varies.
    """
    if metadata.end_session_endpoint is None:
        return None
    parameters = {
        "id_token_hint": id_token_hint,
        "client_id": client_id,
        "post_logout_redirect_uri": post_logout_redirect_uri,
    }
    return with_query(
        metadata.end_session_endpoint, {name: value for name, value in parameters.items() if value is not None}
    )


def validate_logout_token_form(compact: str, algorithms: Collection[str]) -> None:
    """Validates what needs no key, before keys are fetched. Raises LogoutTokenRefused."""
    try:
        validate_form(compact, algorithms=algorithms, types=TYPES)
    except JwsRefused as refused:
        raise LogoutTokenRefused(str(refused)) from None


def validate_logout_token(
    compact: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    now: float,
    skew: float,
    algorithms: Collection[str],
) -> LogoutToken:
    """Validates a logout token (Back-Channel Logout section 2.6).

    Raises LogoutTokenRefused, or its subclass LogoutKeyUnknown. The caller ends the sessions first and claims `jti`
    after that.
    """
    try:
        claims = verify(compact, keys, algorithms=algorithms, types=TYPES).claims
        validate_audience(claims, client_id)
    except JwsKeyUnknown as unknown:
        raise LogoutKeyUnknown(unknown.kid) from None
    except (JwsRefused, IdTokenRefused) as refused:
        raise LogoutTokenRefused(str(refused)) from None
    if not issuer or claims.get("iss") != issuer:
        raise LogoutTokenRefused("iss: missing, or another issuer")
    iat, exp = claims.get("iat"), claims.get("exp")
    if not is_time(iat) or ("exp" in claims and not is_time(exp)):
        raise LogoutTokenRefused("iat or exp: missing, or not a time")
    expires_at = exp if is_time(exp) else iat + MAX_AGE
    if iat > now + skew:
        raise LogoutTokenRefused("iat: in the future; check the clocks")
    if now - skew >= expires_at:
        raise LogoutTokenRefused("exp: it has expired")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise LogoutTokenRefused("events: not a back-channel logout")
    if "nonce" in claims:  # forbidden, so that an ID token cannot be used as a logout token
        raise LogoutTokenRefused("nonce: this is an ID token")
    sub, sid, jti = claims.get("sub"), claims.get("sid"), claims.get("jti")
    if sub is None and sid is None:
        raise LogoutTokenRefused("sub and sid: both missing")
    if (sub is not None and not is_subject(sub)) or (sid is not None and not is_identifier(sid)):
        raise LogoutTokenRefused("sub or sid: not a short string")
    if not is_identifier(jti):
        raise LogoutTokenRefused("jti: missing, or not a short string")
    return LogoutToken(sub, sid, jti, float(iat))


def validate_front_channel_logout(issuers: Collection[str], iss: str | None, sid: str | None) -> str | None:
    """The `sid` to sign out, None when the request names no session of this provider (Front-Channel Logout section 3).

    Both parameters are required: any page can send this GET, and only the `sid` is unknown to third parties.
    """
    return sid if iss in issuers and sid is not None and is_identifier(sid) else None


def is_identifier(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and value.isascii() and value.isprintable()
