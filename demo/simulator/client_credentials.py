"""Access tokens for the Management API: client_credentials at the org server, by private_key_jwt (RFC 6749 4.4)."""

import secrets
from collections.abc import Mapping
from typing import Any

from demo.simulator import okta_errors
from demo.simulator.config import Client
from demo.simulator.okta_errors import RequestRefused
from demo.simulator.org import AuthorizationServer, Org

LIFETIME = 3600  # seconds


def service_token(org: Org, server: AuthorizationServer, client: Client, form: Mapping[str, str]) -> dict[str, Any]:
    """Raises RequestRefused."""
    if "client_credentials" not in client.grant_types:
        raise RequestRefused(okta_errors.UNAUTHORIZED_GRANT)
    wanted = set(form.get("scope", "").split())
    if not server.is_org or not wanted or not wanted <= client.granted_scopes:
        raise RequestRefused(okta_errors.INVALID_SCOPE)
    now = int(org.now())
    claims = {
        "ver": 1,
        "jti": f"AT.{secrets.token_urlsafe(24)}",
        "iss": org.base_url,
        "aud": org.base_url,
        "iat": now,
        "exp": now + LIFETIME,
        "cid": client.client_id,
        "scp": sorted(wanted),
        "sub": client.client_id,
    }
    org.record("service_token", f"the service app {client.client_id} got a token", scopes=sorted(wanted))
    token = org.keys.private.sign(claims)
    return {"token_type": "Bearer", "expires_in": LIFETIME, "access_token": token, "scope": " ".join(sorted(wanted))}
