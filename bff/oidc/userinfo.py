"""UserInfo responses (OIDC Core section 5.3.2): a JSON object, or a signed token that contains it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from bff.oidc.id_token import is_time
from bff.oidc.jwks import KeySet
from bff.oidc.jws import JwsRefused, verify
from bff.oidc.strict_json import JsonRefused, read_object

MAX_RESPONSE_BYTES: Final = 256 * 1024
TYPES: Final = (None, "jwt")


@dataclass(frozen=True, slots=True)
class SignedUserInfo:
    """A response of type application/jwt, not verified yet, and perhaps encrypted."""

    compact: str = field(repr=False)


UserInfo: TypeAlias = Mapping[str, Any] | SignedUserInfo


def parse_userinfo(content_type: str, body: bytes) -> UserInfo:
    """Raises JsonRefused."""
    if content_type.partition(";")[0].strip().lower() != "application/jwt":
        return read_object(body, max_bytes=MAX_RESPONSE_BYTES)
    if not body.isascii():
        raise JsonRefused("not a token, although it is of type application/jwt")
    return SignedUserInfo(body.decode("ascii").strip())


def validate_signed_userinfo(
    compact: str,
    keys: KeySet,
    *,
    issuer: str,
    client_id: str,
    algorithms: Collection[str],
    now: float,
    skew: float,
) -> Mapping[str, Any]:
    """The claims of a signed response. Times are in seconds.

    `iss` and `aud` are recommended, and `exp` is not required: each must be right if it is there. The caller compares
    `sub`. Raises JwsRefused, or its subclass JwsKeyUnknown.
    """
    claims = verify(compact, keys, algorithms=algorithms, types=TYPES).claims
    if claims.get("iss", issuer) != issuer:
        raise JwsRefused("iss: another issuer")
    aud = claims.get("aud", client_id)
    if client_id not in (aud if isinstance(aud, list) else [aud]):
        raise JwsRefused("aud: another client")
    if "exp" in claims and not (is_time(claims["exp"]) and now - skew < claims["exp"]):
        raise JwsRefused("exp: expired, or not a time")
    return claims
