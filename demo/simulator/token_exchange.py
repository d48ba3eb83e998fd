"""On-behalf-of token exchange (RFC 8693): an access token becomes one for another API, at custom servers only.

As Okta documents it: the client is a service app, the subject token is an access token of this server or of one that it
trusts, the audience is this server's own, and the answer has no refresh token. Errors are those of Okta's catalogue.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from demo.simulator import access_policies, claims, okta_errors
from demo.simulator.config import TOKEN_EXCHANGE, Client
from demo.simulator.custom_servers import CustomServer
from demo.simulator.grants import AccessToken
from demo.simulator.okta_errors import RequestRefused
from demo.simulator.org import AuthorizationServer, Org

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


def exchange(
    org: Org, server: AuthorizationServer, client: Client, form: Mapping[str, str], jkt: str
) -> dict[str, Any]:
    """The answer. Raises RequestRefused."""
    if server.custom is None:
        raise RequestRefused(okta_errors.UNSUPPORTED_TOKEN_EXCHANGE)
    if TOKEN_EXCHANGE not in client.grant_types:
        raise RequestRefused(okta_errors.UNAUTHORIZED_GRANT)
    if client.application_type != "service":
        raise RequestRefused(okta_errors.NOT_A_SERVICE_CLIENT)
    if form.get("subject_token_type") != ACCESS_TOKEN or "actor_token" in form:
        raise RequestRefused(okta_errors.INVALID_SUBJECT_TOKEN_TYPE)
    if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
        raise RequestRefused(okta_errors.INVALID_REQUESTED_TOKEN_TYPE)
    if form.get("audience") != server.audience:
        raise RequestRefused(okta_errors.INVALID_AUDIENCE)
    subject = _subject(org, server, server.custom, form.get("subject_token", ""))
    scope = access_policies.granted_scope(server, form.get("scope"), okta_errors.OPENID_IN_EXCHANGE)
    access_policies.check(server, client, TOKEN_EXCHANGE, scope)
    grant = replace(
        subject.sign_in, client_id=client.client_id, issuer=server.issuer, scope=scope, jkt=jkt, resources=frozenset()
    )
    issued = org.families.derive(subject, grant, org.now())
    org.record(
        "exchanged",
        f"{org.name_of(grant.sub)}: an access token for {server.audience} was issued to {client.client_id}",
        family=issued.family_id,
        sub=grant.sub,
        audience=server.audience,
    )
    return {
        "token_type": "DPoP" if jkt else "Bearer",
        "expires_in": int(issued.access_token_expires_at - org.now()),
        "access_token": claims.access_token(org, issued),
        "scope": " ".join(sorted(scope)),
        "issued_token_type": ACCESS_TOKEN,
    }


def _subject(org: Org, server: AuthorizationServer, custom: CustomServer, token: str) -> AccessToken:
    """The live access token that the subject token stands for. Raises RequestRefused."""
    # The org server's access tokens are signed with a key of its own, which no custom server has.
    verified = next(filter(None, (key.verified(token) for key in org.keys.published())), None)
    issuer = None if verified is None else org.server_of(str(verified.get("iss")))
    if verified is None or issuer is None or issuer.custom is None:
        raise RequestRefused(okta_errors.INVALID_SUBJECT_TOKEN)
    if issuer.issuer != server.issuer and issuer.custom.id not in custom.trusts:
        raise RequestRefused(okta_errors.SERVER_NOT_TRUSTED)
    subject = org.families.access_token(str(verified.get("jti")), org.now())
    if subject is None:
        raise RequestRefused(okta_errors.SUBJECT_TOKEN_EXPIRED)
    if org.families.is_unassigned(subject.sign_in.sub):
        raise RequestRefused(okta_errors.SUBJECT_NOT_ASSIGNED)
    return subject
