"""Access policies of a custom authorization server at the token endpoint. The org server's policies are fixed."""

from collections.abc import Iterable

from demo.simulator import okta_errors
from demo.simulator.config import Client
from demo.simulator.okta_errors import OktaError, RequestRefused
from demo.simulator.org import AuthorizationServer


def check(server: AuthorizationServer, client: Client, grant: str, scope: Iterable[str] = ()) -> None:
    """Raises RequestRefused. A refresh is allowed by the rule of the grant that the refresh token came from."""
    allowed = True if server.custom is None else server.custom.allows(client, grant, scope)
    if allowed is None:
        raise RequestRefused(okta_errors.NO_MATCHING_POLICY)
    if not allowed:
        raise RequestRefused(okta_errors.NO_SCOPE_ALLOWED)


def granted_scope(server: AuthorizationServer, asked: str | None, openid_error: OktaError) -> frozenset[str]:
    """The scope of a token without an ID token: what was asked for, or the server's default scopes.

    Raises RequestRefused. OpenID Connect's scopes, and with them refresh tokens, are for users who sign in.
    """
    assert server.custom is not None
    scope = frozenset((asked or "").split()) or frozenset(server.custom.default_scopes)
    if not scope:
        raise RequestRefused(okta_errors.NO_DEFAULT_SCOPES)
    if scope & okta_errors.OPENID_SCOPES:
        raise RequestRefused(openid_error)
    if not scope <= server.custom.scopes:
        raise RequestRefused(okta_errors.NO_MATCHING_SCOPE)
    return scope
