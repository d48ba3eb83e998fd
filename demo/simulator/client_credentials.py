"""Access tokens of a client itself (RFC 6749 section 4.4): for the Management API at the org server, for others
at custom servers.

Without a user there is neither a refresh token nor an ID token.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from demo.simulator import access_policies, okta_errors
from demo.simulator.config import Client
from demo.simulator.okta_errors import RequestRefused
from demo.simulator.org import AuthorizationServer, Org

LIFETIME = 3600  # seconds, of a token for the Management API


def service_token(
    org: Org, server: AuthorizationServer, client: Client, form: Mapping[str, str], jkt: str
) -> dict[str, Any]:
    """The answer. Raises RequestRefused."""
    if "client_credentials" not in client.grant_types:
        raise RequestRefused(okta_errors.UNAUTHORIZED_GRANT)
    if server.custom is None:
        scope, lifetime = frozenset(form.get("scope", "").split()), LIFETIME
        if not scope or not scope <= client.granted_scopes:
            raise RequestRefused(okta_errors.INVALID_SCOPE)
    else:
        scope = access_policies.granted_scope(server, form.get("scope"), okta_errors.OPENID_IN_CLIENT_CREDENTIALS)
        access_policies.check(server, client, "client_credentials", scope)
        lifetime = org.families.policy.access_token_lifetime
    now = int(org.now())
    claims: dict[str, Any] = {
        "ver": 1,
        "jti": f"AT.{secrets.token_urlsafe(24)}",
        "iss": server.issuer,
        "aud": server.audience,
        "iat": now,
        "exp": now + lifetime,
        "cid": client.client_id,
        "scp": sorted(scope),
        "sub": client.client_id,
    }
    if jkt:
        claims["cnf"] = {"jkt": jkt}
    org.record(
        "service_token",
        f"the client {client.client_id} got a token for {server.audience}",
        scopes=sorted(scope),
        audience=server.audience,
    )
    key = org.keys.private if server.custom is None else org.keys.current
    return {
        "token_type": "DPoP" if jkt else "Bearer",
        "expires_in": lifetime,
        "access_token": key.sign(claims),
        "scope": " ".join(sorted(scope)),
    }
