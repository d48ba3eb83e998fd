"""Identity assertions: JWTs of our own that name the signed-in user to an upstream. Times are seconds since the epoch.

An assertion is for one audience and lives for seconds or minutes: it cannot be revoked, but it is signed only while its
session exists, and does not outlive the session's absolute end.
"""

import math
from collections.abc import Iterable
from typing import Any, Final

from bff.session.session_view import SessionView

# RFC 8725 section 3.11: no ID token, access token or logout token can be mistaken for one.
TYP: Final = "identity-assertion+jwt"
# What the assertion says about itself and the authentication. Everything else is a claim of the user.
PROTOCOL_CLAIMS: Final = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "sid", "auth_time", "acr", "amr"})


def assertion_claims(
    session: SessionView, *, issuer: str, audience: str, claims: Iterable[str], lifetime: int, now: float, jti: str
) -> dict[str, Any]:
    """The claims of an assertion about the session, valid for `lifetime` seconds from `now`.

    `claims` are the names of those about the user; the ones that the session lacks are left out, as are `auth_time`,
    `acr` and `amr` that the provider did not state. `sid` identifies our session, not the provider's.
    """
    issued_at = math.floor(now)
    stated: dict[str, Any] = {name: session.claim(name) for name in claims}
    stated |= {"acr": session.acr, "amr": session.amr}
    if session.auth_time is not None:
        stated["auth_time"] = math.floor(session.auth_time)
    return {
        **{name: value for name, value in stated.items() if value is not None},
        "iss": issuer,
        "aud": audience,
        "sub": session.user.sub,
        "sid": session.public_id,
        "iat": issued_at,
        "exp": min(issued_at + lifetime, math.ceil(session.ends_at)),
        "jti": jti,
    }
